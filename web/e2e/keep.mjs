// What the page does with the recordings that a clip is of, and with all that are listed.

import { check, id } from './lib.mjs';
import { shows } from './looks.mjs';

const start = 1795262400; // of a recording of the stream that the mock has

/** Protects the recordings of a clip, frees them by the list, and deletes them by the clip, which asks first and says which. */
export async function clipKeeping(page, base) {
  const from = start * 1000 + 60_000;
  await page.goto(`${base}/?t=${from}&span=3600000&from=${from}&to=${from + 30_000}#/recordings/door-camera`, { timeout: 60_000 });
  const row = page.locator(`[data-testid=recording-row][data-record-dir="door-camera/${start}"]`);
  await id(page, 'clip-protect').press('Enter', { timeout: 60_000 });
  await shows(id(page, 'confirm'), 'Protect 1 recordings?');
  await shows(id(page, 'confirm-list'), '1:10:10');
  await id(page, 'confirm-yes').press('Enter');
  await id(row, 'recording-protected').waitFor({ timeout: 60_000 });
  await id(page, 'clip-delete').click();
  await shows(id(page, 'keep-error'), 'There is nothing to delete');
  await id(page, 'choose-all').check();
  check(/^\d+ chosen$/.test(await id(page, 'bulk').locator('span').first().innerText()), 'not all are chosen');
  await id(page, 'choose-all').uncheck();
  await id(row, 'recording-protect').click();
  await id(row, 'recording-protected').waitFor({ state: 'detached', timeout: 60_000 });
  await id(page, 'clip-delete').click();
  await id(page, 'confirm-yes').click();
  await row.waitFor({ state: 'detached', timeout: 60_000 });
  await id(page, 'undo').click();
  await row.waitFor({ timeout: 60_000 });
}
