import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { t } from '../i18n';

interface ConfirmProps {
  title: string;
  children?: ComponentChildren;
  yes: string; // what the button says that does it
  onYes: () => void;
  onNo: () => void;
}

/** Asks before something that cannot simply be taken back. The browser's own dialog keeps the focus and knows Escape. */
export function Confirm({ title, children, yes, onYes, onNo }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog ref={dialog} class="card confirm" aria-label={title} onCancel={onNo} data-testid="confirm">
      <h2>{title}</h2>
      {children}
      <div class="buttons">
        <button type="button" onClick={onNo} data-testid="confirm-no">
          {t('cancel')}
        </button>
        <button type="button" class="danger" onClick={onYes} data-testid="confirm-yes">
          {yes}
        </button>
      </div>
    </dialog>
  );
}
