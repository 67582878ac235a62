import { locale, t, tOr } from '../i18n';
import type { Problem } from '../lib/api';
import { dateTime, seen } from '../lib/format';
import { said } from '../lib/said';

/** A problem as one line: where, what, and since when. */
export function problemText(problem: Problem): string {
  const { place, since } = problem;
  const time = dateTime(since, locale);
  const what = t('problem', { place: tOr(`place.${place}`, seen(place)), text: seen(said(problem)) });
  return time ? `${what} ${t('problemSince', { time })}` : what;
}

/** What a problem means for whoever records, and what to do; '' for a place that nobody has thought of. */
export function problemAdvice({ place, serious }: Problem): string {
  return tOr(`advice.${place}.${serious ? 'serious' : 'minor'}`, '');
}

/** Problems, of the server that the page is of or of one of its nodes. */
export function ProblemList({ problems }: { problems: readonly Problem[] }) {
  return (
    <>
      {problems.map((problem) => (
        <div
          key={problem.place}
          class={problem.serious ? 'problem error' : 'problem note warning'}
          data-testid="problem"
          data-place={problem.place}
          data-serious={String(problem.serious)}
        >
          <p>{problemText(problem)}</p>
          <p class="advice">{problemAdvice(problem)}</p>
        </div>
      ))}
    </>
  );
}

/** What is wrong with the server that the page is of. */
export function ProblemsPart({ problems }: { problems: Problem[] }) {
  return (
    <div role="alert" data-testid="problems">
      <ProblemList problems={problems} />
    </div>
  );
}
