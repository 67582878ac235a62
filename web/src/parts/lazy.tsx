import type { FunctionComponent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useAction } from '../hooks';
import { t } from '../i18n';

type Load<P> = () => Promise<FunctionComponent<P>>;

const loaded = new Map<unknown, FunctionComponent<never>>();

/** A component that is loaded when it is first shown. */
export function Lazy<P extends object>({ load, props }: { load: Load<P>; props: P }) {
  const [Shown, show] = useState<FunctionComponent<P> | undefined>(() => loaded.get(load) as FunctionComponent<P> | undefined);
  const { error, run } = useAction();
  const attempt = () =>
    void run(async () => {
      const component = await load();
      loaded.set(load, component);
      show(() => component);
    });
  useEffect(() => {
    if (!Shown) attempt();
  }, [load]);
  if (Shown) return <Shown {...props} />;
  if (!error) return <p class="note">{t('loading')}</p>;
  return (
    <p class="error" role="alert">
      {t('viewFailed')}{' '}
      <button type="button" onClick={() => location.reload()}>
        {t('reload')}
      </button>
    </p>
  );
}
