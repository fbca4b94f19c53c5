// SPDX-License-Identifier: Apache-2.0
// Making elements, for both pages. Texts only ever become text nodes: what a server or a file says is never read as
// HTML.

export type Child = Node | string | number | null | undefined | false;
type Value = string | number | boolean | null | undefined;
// A function listens to the event of its name; "style" may be an object of properties.
type Attributes = Record<string, Value | ((event: Event) => void) | Record<string, string>>;

function set(element: Element, attributes: Attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (typeof value === "object") {
      for (const [key, text] of Object.entries(value)) (element as HTMLElement).style.setProperty(key, text);
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
}

// Appends what is there of `children`.
export function append(element: Element, children: Child[]) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(typeof child === "number" ? String(child) : child);
  }
}

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  set(element, attributes);
  append(element, children);
  return element;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  append(element, children);
  return element;
}
