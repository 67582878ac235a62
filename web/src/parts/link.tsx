import { useState } from 'preact/hooks';
import { useAction } from '../hooks';
import { locale, t } from '../i18n';
import { dateTime } from '../lib/format';
import { signRecording } from '../lib/session';

/** Makes a URL of a recording for players that cannot log in. */
export function LinkView({ recordDir }: { recordDir: string }) {
  const [link, setLink] = useState<{ url: string; expires: string }>();
  const { busy, error, run } = useAction();
  const make = () => run(async () => setLink(await signRecording(recordDir)));
  return (
    <>
      <button type="button" disabled={busy} onClick={() => void make()} data-testid="recording-link">
        {t('link')}
      </button>
      {link && (
        <label class="link">
          {t('linkUntil', { time: dateTime(link.expires, locale) })}
          <input
            readOnly
            value={link.url}
            onFocus={(event) => event.currentTarget.select()}
            data-testid="recording-link-url"
          />
        </label>
      )}
      {error && (
        <span class="error" role="alert">
          {error}
        </span>
      )}
    </>
  );
}
