// Colours of the style sheet for what is drawn on a canvas, which knows no variables.

/** Returns a function that resolves a variable of the style sheet to a colour, in the theme of element. */
export function coloursOf(element: HTMLElement): (name: string) => string {
  return (name) => {
    const before = element.style.color;
    element.style.color = `var(${name})`;
    const { color } = getComputedStyle(element);
    element.style.color = before;
    return color;
  };
}
