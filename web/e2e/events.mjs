// What the page shows of what has happened lately.

import { check, id } from './lib.mjs';
import { checkLayout } from './looks.mjs';

/** The events of the view System: what they say, by kind and by how much they matter, and where they lead. */
export async function events(page, base, steps) {
  await page.goto(`${base}/#/system`, { timeout: 60_000 });
  const all = id(page, 'event');
  await all.nth(3).waitFor({ timeout: 60_000 });
  const texts = await all.allInnerTexts();
  const says = ['Storage: something is wrong · no space is left', 'door-camera: recording ended · after 1:10:10 · degraded: packets were lost on the way here', 'door-camera: a viewer left · after 0:12', 'door-camera: recording began'];
  for (const [i, words] of says.entries()) check(texts[i].replace(/\s+/g, ' ').includes(words), `event ${i} says ${JSON.stringify(texts[i])}, not ${words}`);
  await checkLayout(page);
  await steps.picture('page-events');
  await id(page, 'events-level').selectOption('warning');
  await all.nth(2).waitFor({ state: 'detached', timeout: 60_000 });
  await id(page, 'events-kind').selectOption('recording');
  await all.nth(1).waitFor({ state: 'detached', timeout: 60_000 });
  check(page.url().includes('events=recording') && page.url().includes('level=warning'), `the choice is not in the URL ${page.url()}`);
  await page.reload({ timeout: 60_000 });
  await all.first().waitFor({ timeout: 60_000 });
  check((await all.count()) === 1, 'the choice is forgotten');
  await all.locator('a').press('Enter');
  await id(page, 'ruler').waitFor({ timeout: 60_000 });
  check(/#\/recordings\/door-camera$/.test(page.url()) && page.url().includes('t='), `an event leads to ${page.url()}`);
}
