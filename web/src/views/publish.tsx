import { useEffect, useRef, useState } from 'preact/hooks';
import { t, tOr } from '../i18n';
import { listDevices, type Resolution, resolutions, type Source, sources } from '../lib/capture';
import { sendableCodecs, videoCodecs } from '../lib/codecs';
import { bitrate, pictureSizes } from '../lib/format';
import { keep, kept } from '../lib/prefs';
import { hrefOf } from '../lib/route';
import { type Publisher, statsData } from '../parts/publisher';
import { useSecondsUntil } from '../parts/watch';
import { useApp } from '../state';
import '../texts/publish';

/** Publishes camera, screen or microphone by WHIP. It goes on in other views. */
export function PublishView() {
  const { publisher } = useApp();
  const [id, setId] = useState(publisher.id || kept('live777-publish') || 'camera');
  const [source, setSource] = useState<Source>('camera');
  const [resolution, setResolution] = useState<Resolution>('720p');
  const [microphone, setMicrophone] = useState(true);
  const [simulcast, setSimulcast] = useState(false);
  const [sendable] = useState(sendableCodecs);
  const [codec, setCodec] = useState<string>(sendable[0] ?? 'H264');
  const [cameraId, setCamera] = useState('');
  const [microphoneId, setMicrophoneId] = useState('');
  const devices = useDevices(publisher.state);
  const running = publisher.state !== 'idle';

  const start = (event: Event) => {
    event.preventDefault();
    keep('live777-publish', id.trim());
    void publisher.start({ id: id.trim(), codec, source, microphone, resolution, simulcast, cameraId, microphoneId });
  };
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
          {source === 'camera' && (
            <Devices name="camera" devices={devices.cameras} value={cameraId} disabled={running} onChange={setCamera} />
          )}
          {microphone && (
            <Devices name="mic" devices={devices.microphones} value={microphoneId} disabled={running} onChange={setMicrophoneId} />
          )}
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

interface DevicesProps {
  name: 'camera' | 'mic';
  devices: MediaDeviceInfo[];
  value: string;
  disabled: boolean;
  onChange: (id: string) => void;
}

/** Which of several devices; where there is one, there is nothing to choose. */
function Devices({ name, devices, value, disabled, onChange }: DevicesProps) {
  if (devices.length < 2) return null;
  return (
    <label>
      {t(`device.${name}`)}
      <select value={value} disabled={disabled} onChange={(event) => onChange(event.currentTarget.value)} data-testid={`publish-device-${name}`}>
        <option value="">{t('device.any')}</option>
        {devices.map((device) => (
          <option key={device.deviceId} value={device.deviceId}>
            {device.label}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The devices that there are; browsers tell their names when one has been opened. */
function useDevices(state: string): Awaited<ReturnType<typeof listDevices>> {
  const [devices, setDevices] = useState<Awaited<ReturnType<typeof listDevices>>>({ cameras: [], microphones: [] });
  useEffect(() => {
    let shown = true;
    const read = () => void listDevices().then((list) => shown && setDevices(list));
    read();
    navigator.mediaDevices?.addEventListener?.('devicechange', read);
    return () => {
      shown = false;
      navigator.mediaDevices?.removeEventListener?.('devicechange', read);
    };
  }, [state]);
  return devices;
}

/** What becomes of what is published: whether it is recorded. */
function RecordingNote({ id }: { id: string }) {
  const { streams, recorder } = useApp();
  const stream = streams?.find((known) => known.id === id);
  if (!recorder || !stream) return null;
  return (
    <p class="note" data-testid="publish-recording">
      {t(stream.recording ? 'publishRecorded' : 'publishNotRecorded')} <a href={hrefOf('live', '', { q: id })}>{t('view.live')}</a>
    </p>
  );
}

function PublishState({ publisher }: { publisher: Publisher }) {
  const { state, stats, error, retryAt, id } = publisher;
  const seconds = useSecondsUntil(retryAt);
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
          {state === 'reconnecting' ? t('reconnecting', { seconds }) : tOr(`state.${state}`, state)}
        </span>
      </p>
      {stats && (
        <p
          class="note"
          data-testid="publish-stats"
          {...statsData(stats)}
        >
          {shown.filter(Boolean).join(' · ')}
        </p>
      )}
      {state === 'connected' && <RecordingNote id={id} />}
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
