import type { FunctionComponent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useAction } from '../hooks';
import { t } from '../i18n';

type Load = () => Promise<FunctionComponent>;

const loaded = new Map<Load, FunctionComponent>();

/** A component that is loaded when it is first shown. */
export function Lazy({ load }: { load: Load }) {
  const [Shown, show] = useState<FunctionComponent | undefined>(() => loaded.get(load));
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
  if (Shown) return <Shown />;
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
