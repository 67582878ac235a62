import { useEffect, useReducer } from 'preact/hooks';
import { useNow, words } from '../hooks';
import { t } from '../i18n';
import { deletions, onDeletions, undo } from '../lib/undo';

/** Renders again when a deletion begins, ends or is taken back. */
export function useDeletions(): void {
  const [, tick] = useReducer((n: number) => n + 1, 0);
  useEffect(() => onDeletions(() => tick(undefined)), []);
}

/** What is being deleted, and can still be taken back. */
export function Toasts() {
  useDeletions();
  const all = deletions();
  const now = useNow(all.length > 0);
  return (
    <div class="toasts" role="status" data-testid="toasts">
      {all.map(({ path, name, until, error }) => (
        <p key={path} class={error ? 'toast error' : 'toast'}>
          <span>
            {error ? t('deleteFailed', { name, error }) : t('deleting', { name, seconds: Math.max(0, Math.ceil((until - now) / 1000)) })}
          </span>
          <button type="button" onClick={() => void undo(path, words)} data-testid="undo">
            {t(error ? 'close' : 'undo')}
          </button>
        </p>
      ))}
    </div>
  );
}
