import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/**
 * Up to so many rows are simply there, so that the browser can find in them; of more there are few until what shows
 * them is loaded, and all of them if it cannot be.
 */
const mostPlain = 60;
const firstPlain = 20;

type Long = typeof import('./longrows').LongRows;
let long: Long | null | undefined; // null: it could not be loaded

export interface RowsProps<T> {
  items: readonly T[];
  keyOf: (item: T) => string;
  row: (item: T) => ComponentChildren; // one <li> for each, without a key
  height: number; // of a row, as a guess
  testid: string;
  class?: string;
  label?: string;
}

/** A list of rows; of a long one those that can be seen, and a few beside them. */
export function Rows<T>(props: RowsProps<T>) {
  const { items, keyOf, row, testid, label } = props;
  const many = items.length > mostPlain;
  const Long = useLong(many);
  if (many && Long) return <Long {...props} />;
  const shown = many && Long === undefined ? items.slice(0, firstPlain) : items;
  return (
    <ul class={props.class ?? 'rows'} data-testid={testid} aria-label={label}>
      {shown.map((item) => (
        <li key={keyOf(item)}>{row(item)}</li>
      ))}
    </ul>
  );
}

/** What shows long lists, once there is one. */
function useLong(many: boolean): Long | null | undefined {
  const [, loaded] = useState(false);
  useEffect(() => {
    if (!many || long !== undefined) return;
    void import('./longrows')
      .then(
        (module) => module.LongRows,
        () => null,
      )
      .then((it) => {
        long = it;
        loaded(true);
      });
  }, [many]);
  return long;
}
