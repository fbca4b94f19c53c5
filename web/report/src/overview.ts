// SPDX-License-Identifier: Apache-2.0
// The headline, the sample photos, the classes and how large their photos are.

import { h } from "../../common/elements";
import { css, safe } from "./colors";
import { ClassInfo, Report, Sizes } from "./data";
import { count, isSlide, judgedOn, percent, plural, seconds } from "./dom";
import { Section, barRow, longList, picture } from "./parts";

function tile(value: string, name: string, detail = "", strong = false): HTMLElement {
  // A long value in smaller letters: it stays on one line.
  return h("div", { class: strong ? "tile strong" : "tile" }, h("dt", {}, name),
    h("dd", { class: value.length > 8 ? "long" : null }, value.replaceAll(" ", "\u00a0")),
    detail ? h("dd", { class: "detail" }, detail) : null);
}

export function componentsFor(spectrum: number[], share: number): number {
  const sum = spectrum.reduce((a, b) => a + b, 0);
  let running = 0;
  for (let i = 0; i < spectrum.length; i++) {
    running += spectrum[i];
    if (running >= share * sum * (1 - 1e-12)) return i + 1;
  }
  return spectrum.length;
}

export function overview(r: Report): Section {
  const tiles: HTMLElement[] = [];
  for (const metric of r.evaluation?.metrics ?? []) {
    // Both ends with the same digits.
    const digits = metric.low !== undefined && metric.low > 0.99 ? 2 : 1;
    const interval = metric.low !== undefined && metric.high !== undefined
      ? `95\u00a0% CI ${percent(metric.low, digits).slice(0, -2)}\u00a0–\u00a0${percent(metric.high, digits)}` : "";
    tiles.push(tile(percent(metric.value), metric.name, interval, tiles.length === 0));
  }
  if (r.evaluation && tiles.length && r.evaluation.photos > 0) {
    const by = [judgedOn(r.evaluation.photos, r.evaluation.split), r.evaluation.classifier].filter(Boolean).join("; ");
    tiles[0].append(h("dd", { class: "detail" }, by));
  }
  if (r.counts) {
    const rate = r.counts.listed ? r.counts.rejected / r.counts.listed : 0;
    tiles.push(tile(count(r.counts.written), "Photos", r.counts.rejected
      ? `${count(r.counts.rejected)} rejected (${percent(rate)})` : "none rejected"));
  }
  if (r.classes?.length) {
    const sums = r.classes.map((c) => c.train + c.test);
    tiles.push(tile(count(r.classes.length), "Classes", `${count(Math.min(...sums))} – ${count(Math.max(...sums))} photos each`));
  }
  if (r.run.seconds > 0) {
    const speed = r.counts ? `${count(r.counts.written / r.run.seconds)} photos a second` : "";
    tiles.push(tile(seconds(r.run.seconds), "Run time", speed));
  }
  if (r.spectrum?.length) {
    tiles.push(tile(count(componentsFor(r.spectrum, 0.92)), "Components, 92 %",
      `of ${count(r.spectrum.length)}` + (r.kept ? `; ${count(r.kept)} kept` : "")));
  }
  const body: Node[] = [h("dl", { class: "tiles" }, ...tiles)];
  if (r.warnings?.length) {
    body.push(h("div", { class: "warnings", role: "note" }, h("h3", {}, plural(r.warnings.length, "warning")),
      h("ul", {}, ...r.warnings.map((text) => h("li", {}, text)))));
  }
  if (r.sample?.length) body.push(photoGrid(r));
  return { id: "overview", title: "At a glance", lead: [], body };
}

function photoGrid(r: Report): HTMLElement {
  const names = r.classes ?? [];
  return h("div", { class: "photos", role: "group", "aria-label": "Sample photos" }, ...r.sample!.map((index, i) => {
    const group = r.sampleGroup?.[i];
    return picture(r, index, group !== undefined ? names[group]?.name : undefined);
  }));
}

export function classes(r: Report): Section {
  const all = r.classes!.slice().sort((a, b) => b.train + b.test - a.train - a.test || a.name.localeCompare(b.name, "en", { numeric: true }));
  const most = all[0].train + all[0].test, least = all[all.length - 1].train + all[all.length - 1].test;
  const ratio = least > 0 ? most / least : Infinity;
  const lead: (Node | string)[] = [most === least ? `Every class has ${plural(most, "photo")}.`
    : `From ${count(least)} (${all[all.length - 1].name}) to ${plural(most, "photo")} (${all[0].name})` +
      (ratio >= 3 ? `: the largest class is ${ratio.toFixed(1)} times the smallest. ` : ".")];
  if (ratio >= 3) lead.push(h("code", {}, "--class-weight balanced"), " evens that out when training.");
  const train = css(safe(0)), test = css(safe(1));
  const draw = (c: ClassInfo) => barRow({
    name: c.name, value: r.split ? `${count(c.train)} + ${count(c.test)}` : count(c.train),
    bars: [{ share: c.train / most, color: train }, ...(r.split ? [{ share: c.test / most, color: test }] : [])],
    tip: () => [h("b", {}, c.name), r.split ? `${count(c.train)} for training, ${count(c.test)} for testing`
      : plural(c.train, "photo")],
  });
  const body: Node[] = [];
  if (r.split) {
    body.push(h("p", { class: "keys" }, h("span", { class: "key" }, h("i", { style: { background: train } }), "training"),
      h("span", { class: "key" }, h("i", { style: { background: test } }), "test")));
  }
  body.push(longList(all, (c) => c.name, draw, { noun: "class", className: all.length > 12 ? "rows columns" : "rows", first: 36 }));
  return { id: "classes", title: "Classes", lead, body };
}

const constant = (s: Sizes) => s.max - s.min < 0.5;

function box(s: Sizes, low: number, high: number): HTMLElement {
  const at = (v: number) => `${100 * (Math.log(v) - Math.log(low)) / Math.max(1e-9, Math.log(high) - Math.log(low))}%`;
  const place = (name: string, from: number, to?: number) => {
    const element = h("i", { class: name });
    element.style.left = at(Math.max(1, from));
    if (to !== undefined) element.style.width = `calc(${at(Math.max(1, to))} - ${at(Math.max(1, from))})`;
    return element;
  };
  return h("span", { class: "track box" }, place("whisker", s.min, s.max), place("body", s.q1, s.q3), place("median", s.median));
}

export function sizes(r: Report): Section {
  const withSizes = (r.classes ?? []).filter((c) => c.sizes);
  const overall = r.sizes ?? withSizes[0].sizes!;
  if (constant(overall)) {
    return { id: "sizes", title: "Photo sizes", body: [],
      lead: [`The longer side of every photo is ${count(overall.median)} pixels.`] };
  }
  const low = Math.max(1, overall.min) * 0.97, high = overall.max * 1.03;
  const draw = (c: { name: string; sizes: Sizes }) => h("div", { class: "row", role: "listitem" },
    h("span", { class: "name", title: c.name }, c.name), box(c.sizes, low, high),
    h("span", { class: "value" }, constant(c.sizes) ? `${count(c.sizes.median)} px`
      : `${count(c.sizes.min)} – ${count(c.sizes.max)} px`));
  const rows = withSizes.map((c) => ({ name: c.name, sizes: c.sizes! })).sort((a, b) => b.sizes.median - a.sizes.median);
  const items = [...(r.sizes ? [{ name: "All photos", sizes: r.sizes }] : []), ...rows];
  return { id: "sizes", title: "Photo sizes",
    lead: [`The longer side of half the photos lies between ${count(overall.q1)} and ${count(overall.q3)} pixels; the median is ` +
      `${count(overall.median)}.`],
    body: [h("p", { class: "keys" }, "Line: smallest to largest. Box: the middle half. Tick: median. Logarithmic scale."),
      longList(items, (c) => c.name, draw, { noun: "class", className: items.length > 12 ? "rows columns" : "rows", first: 24 })] };
}

export function componentEnds(r: Report): Section {
  const most = isSlide() ? 6 : 12;
  return { id: "components", title: "What the components mean",
    lead: ["A component is a direction in which the photos differ. These are the photos at its two ends."],
    body: [h("div", { class: "ends" }, ...r.ends!.slice(0, most).map((end) => h("div", { class: "end" },
      h("h3", {}, `Component ${end.index + 1}`, h("small", {}, ` ${percent(end.share)} of the variance`)),
      h("div", { class: "sides" },
        h("div", { class: "photos small" }, ...end.low.map((i) => picture(r, i))),
        h("span", { class: "axis", "aria-hidden": "true" }, "←", h("i"), "→"),
        h("div", { class: "photos small right" }, ...end.high.map((i) => picture(r, i)))))))] };
}

export function cost(r: Report): Section {
  // What stands between backticks is code.
  const lead = (r.costNote ?? "").split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
  return { id: "cost", title: "What it costs", lead,
    body: [h("dl", { class: "tiles roomy" }, ...r.cost!.map((line) => tile(line.amount, line.what, line.note)))] };
}

