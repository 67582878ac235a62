import { useEffect, useRef, useState } from 'preact/hooks';
import { useAction } from '../hooks';
import { t } from '../i18n';
import { seen } from '../lib/format';
import { login, logout, type Me } from '../lib/session';
import { TokenForm } from './token';

/** Asks for name and password, once the server has answered 401; a token does too. */
export function LoginForm({ wrongToken }: { wrongToken: boolean }) {
  const [byToken, setByToken] = useState(wrongToken);
  return (
    <>
      {byToken ? <TokenForm wrong={wrongToken} /> : <PasswordForm />}
      <p class="more">
        <button type="button" class="quiet" onClick={() => setByToken(!byToken)} data-testid="login-other">
          {t(byToken ? 'loginByName' : 'loginByToken')}
        </button>
      </p>
    </>
  );
}

function PasswordForm() {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const input = useRef<HTMLInputElement>(null);
  const { busy, error, run } = useAction();
  useEffect(() => input.current?.focus(), []);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!name || !password) return;
    void run(async () => {
      setPassword('');
      await login(name, password);
    });
  };
  return (
    <form class="card login" onSubmit={submit} data-testid="login-form">
      <p>{t('loginAsk')}</p>
      <label>
        {t('loginName')}
        <input
          ref={input}
          autocomplete="username"
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
          data-testid="login-name"
        />
      </label>
      <label>
        {t('loginPassword')}
        <input
          type="password"
          autocomplete="current-password"
          value={password}
          onInput={(event) => setPassword(event.currentTarget.value)}
          data-testid="login-password"
        />
      </label>
      <button type="submit" class="primary" disabled={busy} data-testid="login-submit">
        {t('login')}
      </button>
      {error && (
        <p class="error" role="alert" data-testid="login-error">
          {error}
        </p>
      )}
    </form>
  );
}

/** Says who is logged in, and lets them leave. */
export function Account({ me }: { me: Me }) {
  const { busy, error, run } = useAction();
  return (
    <>
      <span class="about" data-testid="account">
        {error || seen(me.name)}
      </span>
      <button type="button" class="quiet" disabled={busy} onClick={() => void run(logout)} data-testid="logout">
        {t('logout')}
      </button>
    </>
  );
}
