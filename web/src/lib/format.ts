// Numbers and names for people.

/** A name with the characters escaped that are not seen, or change how what is around them is shown. */
export function seen(name: string): string {
  return name.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}}`,
  );
}

/** Seconds as m:ss or h:mm:ss. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '0:00';
  const whole = Math.floor(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Bytes in decimal units with three significant digits at most. */
export function bytes(n: number): string {
  return scaled(n, ['B', 'kB', 'MB', 'GB', 'TB', 'PB']);
}

/** A bit rate in decimal units. */
export function bitrate(n: number): string {
  return scaled(n, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s']);
}

function scaled(n: number, units: readonly string[]): string {
  let value = Math.max(0, n);
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const text = unit === 0 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
  return `${text} ${units[unit]}`;
}

/** The size of a picture in pixels. */
export interface Size {
  width: number;
  height: number;
}

/** Sizes of pictures, the biggest first, each once. */
export function pictureSizes(sizes: readonly Partial<Size>[]): string {
  const known = sizes.filter((size) => size.width && size.height) as Size[];
  known.sort((a, b) => b.width * b.height - a.width * a.height);
  return [...new Set(known.map(({ width, height }) => `${width}×${height}`))].join(', ');
}

/** A point in time in the reader's zone and language; '' when it is not one. */
export function dateTime(iso: string, language: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime()) || date.getTime() <= 0) return '';
  return date.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'medium' });
}
