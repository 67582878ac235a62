import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  observeWindowOffset,
  observeWindowRect,
  Virtualizer,
  windowScroll,
} from '@tanstack/virtual-core';
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from 'preact/hooks';
import type { RowsProps } from './rows';

/** A long list: the rows that can be seen, and a few beside them. */
export function LongRows<T>({ items, keyOf, row, height, testid, label, ...rest }: RowsProps<T>) {
  const list = useRef<HTMLUListElement>(null);
  const virtual = useVirtual(list, items.length, height, (index) => keyOf(items[index] as T));
  const shown = virtual?.getVirtualItems() ?? [];
  const margin = virtual?.options.scrollMargin ?? 0;
  return (
    <ul
      ref={list}
      class={`${rest.class ?? 'rows'} long`}
      data-testid={testid}
      data-count={items.length}
      aria-label={label}
      style={{ height: `${virtual?.getTotalSize() ?? items.length * height}px` }}
    >
      {shown.map((place) => {
        const item = items[place.index];
        return (
          item && (
            <li
              key={place.key}
              ref={(element) => {
                virtual?.measureElement(element);
              }}
              data-index={place.index}
              aria-setsize={items.length}
              aria-posinset={place.index + 1}
              style={{ transform: `translateY(${place.start - margin}px)` }}
            >
              {row(item)}
            </li>
          )
        );
      })}
    </ul>
  );
}

/** The element that scrolls a list: one with an overflow of its own, or the window. */
function scrollerOf(list: HTMLElement): HTMLElement | null {
  return list.closest<HTMLElement>('[data-scroller]');
}

type List = Virtualizer<Element, HTMLLIElement>;

function useVirtual(list: { current: HTMLUListElement | null }, count: number, height: number, keyOf: (index: number) => string) {
  const [, render] = useReducer((n: number) => n + 1, 0);
  const [virtual, setVirtual] = useState<List>();
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    const scroller = scrollerOf(element);
    const window = globalThis.window as unknown as Element; // the two kinds differ in their functions alone
    const own = !scroller;
    const made: List = new Virtualizer({
      count: 0,
      estimateSize: () => height,
      getScrollElement: () => scroller ?? window,
      observeElementRect: (own ? observeWindowRect : observeElementRect) as typeof observeElementRect,
      observeElementOffset: (own ? observeWindowOffset : observeElementOffset) as typeof observeElementOffset,
      scrollToFn: (own ? windowScroll : elementScroll) as typeof elementScroll,
      onChange: () => render(undefined),
    });
    setVirtual(made);
    return made._didMount();
  }, [list, height]);
  if (virtual) {
    const element = list.current;
    const scroller = element && scrollerOf(element);
    const top = element?.getBoundingClientRect().top ?? 0;
    const scrollMargin = scroller ? top - scroller.getBoundingClientRect().top + scroller.scrollTop : top + scrollY;
    virtual.setOptions({ ...virtual.options, count, scrollMargin, overscan: 5, getItemKey: keyOf });
  }
  useEffect(() => virtual?._willUpdate());
  return virtual;
}
