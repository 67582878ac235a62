import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n';
import { setToken } from '../lib/token';

/** Asks for the token, once the server has answered 401. */
export function TokenForm({ wrong }: { wrong: boolean }) {
  const [value, setValue] = useState('');
  const [remember, setRemember] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const save = (event: Event) => {
    event.preventDefault();
    if (value.trim()) setToken(value, remember);
    setValue('');
  };
  return (
    <form class="card token" onSubmit={save} data-testid="token-form">
      <p role="alert">{t(wrong ? 'tokenWrong' : 'tokenAsk')}</p>
      <label>
        {t('token')}
        <input
          ref={input}
          type="password"
          autocomplete="off"
          value={value}
          onInput={(event) => setValue(event.currentTarget.value)}
          data-testid="token-input"
        />
      </label>
      <button type="submit" class="primary" data-testid="token-save">
        {t('tokenSave')}
      </button>
      <label class="check">
        <input
          type="checkbox"
          checked={remember}
          onChange={(event) => setRemember(event.currentTarget.checked)}
          data-testid="token-remember"
        />
        {t('remember')}
      </label>
    </form>
  );
}

/** Lets go of the token in use. */
export function TokenForget() {
  return (
    <button type="button" class="quiet" data-testid="token-forget" onClick={() => setToken('')}>
      {t('tokenForget')}
    </button>
  );
}
