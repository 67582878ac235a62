import { t, tOr } from '../i18n';
import type { Problem } from '../lib/api';

/** A problem as one line. */
export function problemText({ place, text }: Problem): string {
  return t('problem', { place: tOr(`place.${place}`, place), text });
}

/** What is wrong with the server that the page is of. */
export function ProblemsPart({ problems }: { problems: Problem[] }) {
  return (
    <div role="alert" data-testid="problems">
      {problems.map((problem) => (
        <p key={problem.place} class={problem.serious ? 'error' : 'note warning'}>
          {problemText(problem)}
        </p>
      ))}
    </div>
  );
}
