// What the page does with recordings that are saved as one file: the file that the server has, or its words.

import { check, id } from './lib.mjs';

const start = 1795262400; // of a recording of each stream that the mock has

/** Saves a recording of VP8, which is no MP4, and a part of it; of another stream the server has no file. */
export async function downloads(page, base) {
  const saves = async (control, path) => {
    const begins = page.waitForEvent('download', { timeout: 60_000 });
    await control.click();
    const url = new URL((await begins).url());
    check(url.pathname === `/api/play/abc/gate/${path}/file.webm` && url.searchParams.has('tz'), `it saves ${url}`);
  };
  const opens = async (stream) => {
    const from = start * 1000 + 60_000;
    await page.goto(`${base}/?t=${from}&span=3600000&from=${from}&to=${from + 30_000}#/recordings/${stream}`, { timeout: 60_000 });
    await id(page, 'clip').waitFor({ timeout: 60_000 });
  };
  await opens('gate');
  const link = id(page, 'recording-file');
  check(/\/gate\/\d+\/file\.webm\?/.test(await link.getAttribute('href')), 'the link of a recording of VP8 is to no WebM');
  await saves(link, start);
  await saves(id(page, 'clip-save'), `${start + 60}/${start + 90}`);
  await opens('door-camera');
  await id(page, 'clip-save').click();
  await id(page, 'clip-error').waitFor({ timeout: 60_000 });
}
