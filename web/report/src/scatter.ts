// SPDX-License-Identifier: Apache-2.0
// The cloud of photos with its legend: colour by class or cluster, highlight, photos on hover.

import { h } from "../../common/elements";
import { Cloud, CloudPoints } from "./cloud";
import { Rgb, SAFE, css, onSchemeChange, palette, safe } from "./colors";
import { NONE, Report, i32, u16 } from "./data";
import { count, hideTip, isSlide, percent, showTip } from "./dom";
import { Section, choice, uri } from "./parts";

interface Grouping { name: string; of: Uint16Array; names: string[] }

export function scatter(r: Report): Section {
  const s = r.scatter!, n = s.n, c = s.components;
  const raw = u16(s.values);
  const thumbs = s.thumbnail ? i32(s.thumbnail) : null;
  const sum = r.spectrum?.reduce((a, b) => a + b, 0) ?? 0;
  const steps = s.low.map((low, k) => (s.high[k] - low) / 65535);
  const points: CloudPoints = {
    n, components: c,
    value: (i, k) => s.low[k] + steps[k] * raw[i * c + k],
    range: (k) => [s.low[k], s.high[k]],
    axisName: (k) => `component ${k + 1}` + (sum > 0 ? ` (${percent(r.spectrum![k] / sum, 1)})` : ""),
  };

  const groupings: Grouping[] = [];
  if (s.group) groupings.push({ name: "Class", of: u16(s.group), names: (r.classes ?? []).map((x) => x.name) });
  if (s.cluster) {
    const of = u16(s.cluster);
    let most = -1;
    for (const g of of) if (g !== NONE && g > most) most = g;
    groupings.push({ name: "Cluster", of, names: Array.from({ length: most + 1 }, (_, i) => `cluster ${i + 1}`) });
  }

  const cloud = new Cloud(points);
  cloud.overlay.setAttribute("aria-label", `Cloud of ${count(n)} photos in the space of their first components. ` +
    "Arrow keys turn it, plus and minus zoom, 0 resets.");
  if (thumbs) {
    cloud.hasPhoto = (i) => thumbs[i] >= 0;
    cloud.markPhotos();
  }

  // --- colours and legend ---
  let grouping = 0;
  let colors: Rgb[] = [];
  let picked: number[] = [];      // groups the reader chose, in order
  let hovered = -1;
  const legend = h("div", { class: "legend" });
  const groupOf = (i: number) => {
    const g = groupings[grouping]?.of[i] ?? NONE;
    return g === NONE ? -1 : g;
  };
  const colorsNow = () => {
    const base = palette(groupings[grouping]?.names.length ?? 0);
    if (picked.length && base.length > SAFE) picked.slice(0, SAFE).forEach((g, i) => { base[g] = safe(i); });
    return base;
  };
  const recolor = () => {
    colors = colorsNow();
    const on = hovered >= 0 ? [...picked, hovered] : picked;
    if (groupings.length) cloud.setColors(colors, groupOf, (g) => on.length === 0 || on.includes(g));
    else cloud.setColors([safe(0)], () => 0, () => true);
  };
  const status = h("p", { class: "status", "aria-live": "polite" });
  const say = () => {
    const how = n < s.total ? `${count(n)} of ${count(s.total)} photos shown, drawn at random from every class (seed ${s.seed}).`
      : `All ${count(n)} photos shown.`;
    status.textContent = how + (picked.length ? ` Highlighted: ${picked.map((g) => groupings[grouping].names[g]).join(", ")}.` : "");
  };
  const fillLegend = () => {
    const { names, of } = groupings[grouping];
    const counts = new Array<number>(names.length).fill(0);
    for (const g of of) if (g !== NONE) counts[g]++;
    const order = names.map((_, i) => i).filter((i) => counts[i] > 0);
    let word = "";
    const list = h("div", { class: "legend-list" });
    const clear = h("button", { type: "button", class: "more", click: () => { picked = []; hovered = -1; recolor(); draw(); say(); } }, "Show all");
    const draw = () => {
      clear.hidden = picked.length === 0;
      list.replaceChildren(...order.filter((g) => names[g].toLowerCase().includes(word)).map((g) => h("button", {
        type: "button", "aria-pressed": String(picked.includes(g)), title: names[g],
        class: picked.length && !picked.includes(g) ? "off" : null,
        click: () => {
          picked = picked.includes(g) ? picked.filter((x) => x !== g) : [...picked, g].slice(-SAFE);
          hovered = -1;
          recolor();
          draw();
          say();
        },
        pointerenter: (e: Event) => { if ((e as PointerEvent).pointerType === "mouse" && !picked.length) { hovered = g; recolor(); } },
        pointerleave: () => { if (hovered >= 0) { hovered = -1; recolor(); } },
      }, h("i", { style: { background: css(colors[g]) } }), h("span", {}, names[g]), h("small", {}, count(counts[g])))));
      if (!list.firstChild) list.append(h("p", { class: "quiet" }, "No such name."));
    };
    recolor();
    draw();
    const search = names.length > 10 ? h("input", { type: "search", placeholder: `Find a ${groupings[grouping].name.toLowerCase()}`,
      "aria-label": `Find a ${groupings[grouping].name.toLowerCase()}`,
      input: (e: Event) => { word = (e.target as HTMLInputElement).value.toLowerCase(); draw(); } }) : null;
    legend.replaceChildren(...[search, list, clear].filter((x): x is HTMLInputElement & HTMLButtonElement => x !== null));
    say();
  };
  if (groupings.length) fillLegend();
  else { recolor(); say(); legend.hidden = true; }
  onSchemeChange(() => { if (groupings.length) fillLegend(); else recolor(); });

  // --- photos ---
  const images = new Map<number, HTMLImageElement>();
  const imageOf = (i: number): HTMLImageElement | null => {
    const t = thumbs ? thumbs[i] : -1;
    if (t < 0) return null;
    let image = images.get(t);
    if (!image) {
      image = new Image();
      image.onload = () => cloud.redraw();
      image.src = uri(r.thumbnails[t]);
      images.set(t, image);
    }
    return image;
  };
  cloud.onHover = (i, x, y) => {
    if (i < 0) { hideTip(); return; }
    const t = thumbs ? thumbs[i] : -1, thumb = t >= 0 ? r.thumbnails[t] : null;
    const names = groupings.map((g) => (g.of[i] === NONE ? null : g.names[g.of[i]])).filter((x): x is string => x !== null);
    showTip(x, y, thumb ? h("img", { src: uri(thumb), alt: "", class: "large" }) : null,
      names.length ? h("b", {}, names[0]) : null, names.length > 1 ? h("span", {}, names[1]) : null,
      thumb ? h("span", { class: "path" }, thumb.path) : null);
  };

  // --- views ---
  let flat = c < 3;
  let axes: [number, number, number] = [0, 1, c < 3 ? 0 : 2];
  const letters = ["x", "y", "z"];
  const selects = letters.map((letter, a) => h("select", { "aria-label": `Component on the ${letter} axis`, change: (e: Event) => {
    axes[a] = Number((e.target as HTMLSelectElement).value);
    cloud.setAxes(axes, flat);
  } }, ...Array.from({ length: c }, (_, k) => h("option", { value: k, ...(k === axes[a] ? { selected: true } : {}) }, String(k + 1)))));
  const labels = selects.map((select, a) => h("label", {}, `${letters[a]} `, select));
  const view = (i: number) => {
    flat = i === 1 || c < 3;
    labels[2].hidden = flat;
    cloud.setAxes(axes, flat);
  };
  const photos = h("button", { type: "button", "aria-pressed": "false", click: () => {
    const on = cloud.photo === null;
    cloud.photo = on ? imageOf : null;
    photos.setAttribute("aria-pressed", String(on));
    cloud.redraw();
  } }, "Photos");
  const button = (text: string, name: string, run: () => void) =>
    h("button", { type: "button", "aria-label": name, title: name, click: run }, text);
  const tools = h("div", { class: "tools" },
    c >= 3 ? choice("View", ["3-D", "2-D"], 0, view) : null,
    groupings.length > 1 ? choice("Colour by", groupings.map((g) => g.name), 0, (i) => { grouping = i; picked = []; fillLegend(); }) : null,
    thumbs ? h("div", { class: "choice" }, photos) : null,
    c > 2 ? h("span", { class: "axes" }, ...labels) : null,
    h("div", { class: "choice" }, button("+", "Zoom in", () => cloud.zoomBy(1.3)), button("−", "Zoom out", () => cloud.zoomBy(1 / 1.3)),
      button("⟲", "Reset the view", () => cloud.reset())));
  view(flat ? 1 : 0);

  const stage = h("div", { class: "stage" }, cloud.canvas, cloud.overlay);
  new ResizeObserver(() => {
    const width = stage.clientWidth;
    if (!width) return;
    cloud.resize(width, isSlide() ? stage.clientHeight : Math.max(320, Math.min(620, width * 0.72)));
  }).observe(stage);
  // Browser tests ask where a point is.
  (stage as HTMLElement & { cloud?: Cloud }).cloud = cloud;

  const gl = cloud.webgl ? [] : [h("p", { class: "quiet" }, "Drawn without WebGL, which this browser does not offer.")];
  return { id: "scatter", title: "The photos as the network sees them",
    lead: ["Photos that look alike to the network lie close together. Drag to turn, ",
      groupings.length ? "choose classes to compare, " : "", thumbs ? "point to see the photo." : "point to see the name."],
    body: [tools, h("div", { class: groupings.length ? "cloud" : "cloud alone" }, stage, legend), status, ...gl] };
}
