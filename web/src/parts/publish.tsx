import { useEffect, useRef, useState } from 'preact/hooks';
import { t, tOr } from '../i18n';
import { type Resolution, resolutions, type Source, sources } from '../lib/capture';
import { sendableCodecs, videoCodecs } from '../lib/codecs';
import { bitrate, pictureSizes } from '../lib/format';
import { usePublisher } from './publisher';

/** Publishes camera, screen or microphone by WHIP. While the server asks for credentials it shows what goes on alone. */
export function PublishPart({ locked }: { locked: boolean }) {
  const [id, setId] = useState('camera');
  const [source, setSource] = useState<Source>('camera');
  const [resolution, setResolution] = useState<Resolution>('720p');
  const [microphone, setMicrophone] = useState(true);
  const [simulcast, setSimulcast] = useState(false);
  const [sendable] = useState(sendableCodecs);
  const [codec, setCodec] = useState<string>(sendable[0] ?? 'H264');
  const publisher = usePublisher();
  const running = publisher.state !== 'idle';

  const start = (event: Event) => {
    event.preventDefault();
    void publisher.start({ id: id.trim(), codec, source, microphone, resolution, simulcast });
  };
  if (locked && !running && !publisher.error) return null;
  return (
    <section class="card" aria-labelledby="publish-title">
      <h2 id="publish-title">{t('publish')}</h2>
      <div class="publish">
        <form onSubmit={start}>
          <label>
            {t('streamId')}
            <input
              value={id}
              disabled={running}
              autocomplete="off"
              spellcheck={false}
              onInput={(event) => setId(event.currentTarget.value)}
              data-testid="publish-stream"
            />
          </label>
          <label>
            {t('source')}
            <select
              value={source}
              disabled={running}
              onChange={(event) => setSource(event.currentTarget.value as Source)}
              data-testid="publish-source"
            >
              {sources.map((name) => (
                <option key={name} value={name}>
                  {t(`source.${name}`)}
                </option>
              ))}
            </select>
          </label>
          <label>
            {t('codec')}
            <select
              value={codec}
              disabled={running || source === 'none'}
              onChange={(event) => setCodec(event.currentTarget.value)}
              data-testid="publish-codec"
            >
              {videoCodecs.map((name) => (
                <option key={name} value={name} disabled={!sendable.includes(name)}>
                  {sendable.includes(name) ? name : `${name} ${t('codecMissing')}`}
                </option>
              ))}
            </select>
          </label>
          <label>
            {t('resolution')}
            <select
              value={resolution}
              disabled={running || source === 'none'}
              onChange={(event) => setResolution(event.currentTarget.value as Resolution)}
              data-testid="publish-resolution"
            >
              {Object.keys(resolutions).map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={microphone}
              disabled={running}
              onChange={(event) => setMicrophone(event.currentTarget.checked)}
              data-testid="publish-microphone"
            />
            {t('microphone')}
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={simulcast}
              disabled={running || source === 'none'}
              onChange={(event) => setSimulcast(event.currentTarget.checked)}
              data-testid="publish-simulcast"
            />
            {t('simulcast')}
          </label>
          {running ? (
            <button type="button" onClick={() => void publisher.stop()} data-testid="publish-stop">
              {t('stop')}
            </button>
          ) : (
            <button type="submit" class="primary" data-testid="publish-start">
              {t('start')}
            </button>
          )}
        </form>
        <div>
          <Preview media={publisher.media} />
          <PublishState publisher={publisher} />
        </div>
      </div>
    </section>
  );
}

function PublishState({ publisher }: { publisher: ReturnType<typeof usePublisher> }) {
  const { state, stats, error } = publisher;
  const shown = [
    stats?.codec,
    stats ? pictureSizes(stats.layers) : '',
    stats && stats.fps > 0 ? `${Math.round(stats.fps)} fps` : '',
    stats ? bitrate(stats.bitrate) : '',
    stats?.limited === 'cpu' ? t('limitedCpu') : '',
    stats?.limited === 'bandwidth' ? t('limitedBandwidth') : '',
  ];
  return (
    <>
      <p class="state">
        <span class={`dot ${state}`} aria-hidden="true" />
        <span role="status" data-testid="publish-state" data-state={state}>
          {tOr(`state.${state}`, state)}
        </span>
      </p>
      {stats && (
        <p
          class="note"
          data-testid="publish-stats"
          data-bitrate={Math.round(stats.bitrate)}
          data-layers={stats.layers.length}
          data-width={stats.width}
          data-height={stats.height}
          data-fps={stats.fps}
          data-frames={stats.framesSent}
          data-codec={stats.codec}
        >
          {shown.filter(Boolean).join(' · ')}
        </p>
      )}
      {error && (
        <p class="error" role="alert" data-testid="publish-error">
          {error}
        </p>
      )}
    </>
  );
}

function Preview({ media }: { media: MediaStream | undefined }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = media ?? null;
  }, [media]);
  return (
    <video
      ref={video}
      class={media ? 'screen' : 'screen empty'}
      autoplay
      muted
      playsInline
      aria-label={t('preview')}
      data-testid="publish-preview"
    />
  );
}
