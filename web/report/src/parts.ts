// SPDX-License-Identifier: Apache-2.0
// Pieces that several sections share: the frame of a section, photos, rows of bars, switches.

import { h } from "../../common/elements";
import { Report, Thumb } from "./data";
import { baseName, responsive, showTip, hideTip, isSlide } from "./dom";

export interface Section { id: string; title: string; lead: (Node | string)[]; body: Node[] }

export function frame(section: Section): HTMLElement {
  return h("section", { id: section.id, "aria-labelledby": `${section.id}-title` },
    h("header", {}, h("h2", { id: `${section.id}-title` }, section.title),
      section.lead.length ? h("p", { class: "lead" }, ...section.lead) : null),
    ...section.body);
}

const uris = new WeakMap<Thumb, string>();
export function uri(thumb: Thumb): string {
  let found = uris.get(thumb);
  if (!found) {
    // A grey square with a bar across stands for a photo that could not be read.
    found = thumb.jpeg ? `data:image/jpeg;base64,${thumb.jpeg}`
      : "data:image/svg+xml," + encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">' +
        '<rect width="64" height="64" fill="#9993"/><path d="M20 44 44 20M20 20l24 24" stroke="#999" ' +
        'stroke-width="3"/></svg>');
    uris.set(thumb, found);
  }
  return found;
}

// A photo with its name on hover.
export function picture(report: Report, index: number, caption?: string): HTMLElement {
  const thumb: Thumb = report.thumbnails[index] ?? { path: "", jpeg: "", w: 0, h: 0 };
  const name = caption ?? baseName(thumb.path);
  const image = h("img", { src: uri(thumb), alt: name || "photo", decoding: "async",
    width: thumb.w || 64, height: thumb.h || 64 });
  const show = (e: Event) => {
    const p = e as PointerEvent;
    showTip(p.clientX, p.clientY, h("img", { src: uri(thumb), alt: "", class: "large" }),
      h("b", {}, name), thumb.path ? h("span", { class: "path" }, thumb.path) : null);
  };
  return h("span", { class: "photo", pointermove: show, pointerleave: hideTip }, image);
}

export interface BarRow {
  name: string; value: string; tip?: () => (Node | string | null)[];
  bars: { share: number; color: string }[];   // shares of the track, stacked
  mark?: number;                               // a tick on the track, 0..1
  click?: () => void;
}

export function barRow(row: BarRow): HTMLElement {
  const track = h("span", { class: "track" },
    ...row.bars.map((bar) => h("span", { class: "bar",
      style: { width: `${Math.max(0, Math.min(1, bar.share)) * 100}%`, background: bar.color } })));
  const line = h("div", { class: "row", role: "listitem" }, h("span", { class: "name", title: row.name }, row.name), track,
    h("span", { class: "value" }, row.value));
  if (row.tip) {
    line.addEventListener("pointermove", (e) => showTip(e.clientX, e.clientY, ...row.tip!()));
    line.addEventListener("pointerleave", hideTip);
  }
  return line;
}

// A long list: the first ones, a search field, and the rest on demand.
export function longList<T>(items: T[], name: (item: T) => string, draw: (item: T) => HTMLElement,
  options: { first?: number; noun: string; className?: string }): HTMLElement {
  const first = isSlide() ? Math.min(options.first ?? 24, 24) : options.first ?? 24;
  const list = h("div", { class: options.className ?? "rows", role: "list" });
  let all = items.length <= first + 4;
  let word = "";
  const more = h("button", { class: "more", type: "button", click: () => { all = !all; fill(); } });
  const fill = () => {
    const found = word ? items.filter((item) => name(item).toLowerCase().includes(word)) : items;
    const shown = all || word ? found : found.slice(0, first);
    list.replaceChildren(...shown.map(draw));
    if (!shown.length) list.append(h("p", { class: "quiet" }, `No ${options.noun} with this name.`));
    more.textContent = all ? "Show fewer" : `Show all ${items.length}`;
    more.hidden = items.length <= first + 4 || word !== "";
  };
  fill();
  if (items.length <= first + 4 || isSlide()) return list;
  const search = h("input", { type: "search", placeholder: `Find a ${options.noun}`, "aria-label": `Find a ${options.noun}`,
    input: (e: Event) => { word = (e.target as HTMLInputElement).value.toLowerCase(); fill(); } });
  return h("div", {}, h("div", { class: "tools" }, search), list, more);
}

// A row of buttons of which one is chosen.
export function choice(label: string, names: string[], chosen: number, pick: (i: number) => void): HTMLElement {
  const buttons = names.map((name, i) => h("button", { type: "button", "aria-pressed": String(i === chosen),
    click: () => {
      buttons.forEach((button, j) => button.setAttribute("aria-pressed", String(i === j)));
      pick(i);
    } }, name));
  return h("div", { class: "choice", role: "group", "aria-label": label }, ...buttons);
}

export function panel(title: string, ...content: (Node | string | null)[]): HTMLElement {
  return h("div", { class: "panel" }, h("h3", {}, title), ...content);
}

export const chart = (draw: (width: number) => Node) => responsive(h("div", { class: "chart" }), draw);

export function table(head: string[], rows: (string | Node)[][], numbersFrom = 1): HTMLElement {
  const align = (i: number) => (i >= numbersFrom ? "number" : null);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": head.join(", ") }, h("table", {},
    h("thead", {}, h("tr", {}, ...head.map((text, i) => h("th", { scope: "col", class: align(i) }, text)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell, i) => i === 0
      ? h("th", { scope: "row" }, cell) : h("td", { class: align(i) }, cell)))))));
}
