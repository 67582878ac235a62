// How the page looks to people and to programs that read it to them, and what each script does there first.

import { readFile } from 'node:fs/promises';
import { check, id } from './lib.mjs';

export const token = 'let-me-in'; // of the server with made-up answers

/** Controls without a name for assistive technology, and whatever is wider than the window. */
function inspect() {
  const nameless = [...document.querySelectorAll('button, input, select, a, video')].filter((e) => {
    const label = [...(e.labels ?? [])].map((l) => l.innerText).join('');
    return !(e.getAttribute('aria-label') || label || (e.matches('button, a') && e.innerText)).trim();
  });
  const wide = [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1);
  const show = (e) => e.outerHTML.slice(0, 120);
  return { nameless: nameless.map(show), wide: wide.map(show), scroll: document.documentElement.scrollWidth - innerWidth };
}

const axe = await readFile(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** Faults that keep people with other senses or hands out, as a program of others finds them. */
async function checkAccess(page) {
  await page.evaluate(axe);
  const faults = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(' ')}`);
  });
  check(faults.length === 0, `faults of access: ${faults.join(' | ')}`);
}

/** Faults of access, controls without a name, and what is wider than the window. */
export async function checkLayout(page) {
  await checkAccess(page);
  const found = await page.evaluate(inspect);
  check(found.nameless.length === 0, `controls without a name: ${found.nameless.join(' ')}`);
  check(found.wide.length === 0 && found.scroll <= 0, `wider than the window: ${found.wide.join(' ')}`);
}

/** Gives the token that the page asks for. */
export async function unlock(page) {
  await id(page, 'token-input').fill(token, { timeout: 60_000 });
  await id(page, 'token-save').click();
  await id(page, 'strip-recording').waitFor({ timeout: 60_000 });
  await id(page, 'token-form').waitFor({ state: 'detached', timeout: 60_000 });
}

/** Waits for locator, and checks that it says text. */
export async function shows(locator, text) {
  await locator.waitFor({ timeout: 60_000 });
  const shown = await locator.innerText();
  check(shown.includes(text), `it says ${JSON.stringify(shown)}, not ${JSON.stringify(text)}`);
}
