// The reference of a server's API at /api/docs: an operation as its library draws it, which can be tried out.

import { check, openPage, Steps } from './lib.mjs';

/** Opens the reference of a server, finds an operation that only this program has, and asks the server through it. */
export async function checkReference(browser, base, own) {
  const { page, problems } = await openPage(browser, base);
  const steps = new Steps(page, '');
  const operation = (summary) => page.locator('.opblock', { hasText: summary });
  await steps.run(`reference of ${base}`, async () => {
    await page.goto(`${base}/api/docs`, { timeout: 60_000 });
    await operation(own).waitFor({ timeout: 60_000 });
    const info = operation('/api/info');
    await info.locator('.opblock-summary-control').press('Enter', { timeout: 60_000 });
    await info.getByRole('button', { name: 'Try it out' }).click({ timeout: 60_000 });
    await info.getByRole('button', { name: 'Execute' }).click({ timeout: 60_000 });
    const answer = info.locator('.live-responses-table');
    await answer.getByText('"features"').waitFor({ timeout: 60_000 });
    check((await info.locator('.request-url').innerText()).includes(`${base}/api/info`), 'it asks somewhere else');
  });
  check(problems.length === 0, `the reference reported: ${problems.join(' | ')}`);
  await page.context().close();
}
