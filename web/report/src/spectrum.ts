// SPDX-License-Identifier: Apache-2.0
// The PCA spectrum, and how few components suffice.

import { h, svg } from "../../common/elements";
import { niceStep } from "./cloud";
import { css, safe } from "./colors";
import { Report, StoragePoint } from "./data";
import { bytes, count, hideTip, judgedOn, percent, plural, showTip } from "./dom";
import { componentsFor } from "./overview";
import { Section, chart, panel, table } from "./parts";

const MARKS = [0.7, 0.92, 0.95];

function frameOf(width: number, height: number, left: number) {
  return { left, right: width - 10, top: 12, bottom: height - 30 };
}

// A crosshair that tells what stands at the nearest of `xs`.
function probe(root: SVGSVGElement, xs: number[], box: { top: number; bottom: number },
  say: (i: number) => (Node | string)[]) {
  const line = svg("line", { class: "probe", y1: box.top, y2: box.bottom, visibility: "hidden" });
  root.append(line);
  root.addEventListener("pointermove", (e) => {
    const x = e.clientX - root.getBoundingClientRect().left;
    let best = 0;
    xs.forEach((value, i) => { if (Math.abs(value - x) < Math.abs(xs[best] - x)) best = i; });
    line.setAttribute("x1", String(xs[best]));
    line.setAttribute("x2", String(xs[best]));
    line.setAttribute("visibility", "visible");
    showTip(e.clientX, e.clientY, ...say(best));
  });
  root.addEventListener("pointerleave", () => { line.setAttribute("visibility", "hidden"); hideTip(); });
}

// 1, 2, 5, 10, ... up to n.
function decades(n: number): number[] {
  const found: number[] = [];
  for (let p = 1; p <= n; p *= 10) for (const m of [1, 2, 5]) if (m * p <= n) found.push(m * p);
  return found;
}

const superscript = (n: number) => String(n).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);

function scree(shares: number[]): HTMLElement {
  const n = shares.length;
  return chart((width) => {
    const height = 260, box = frameOf(width, height, 52);
    // Of n photos only n - 1 components hold anything; what stands behind them is rounding.
    const used = shares.filter((s) => s > 1e-6 * shares[0]);
    const high = Math.log10(used[0]), low = Math.log10(used[used.length - 1]);
    const x = (k: number) => box.left + (box.right - box.left) * Math.log(k) / Math.log(Math.max(n, 2));
    const y = (s: number) => box.bottom - (box.bottom - box.top) * (Math.log10(Math.max(s, 10 ** low)) - low) / Math.max(high - low, 1e-9);
    const root = svg("svg", { width, height, role: "img", "aria-label":
      `Scree plot: the first component holds ${percent(shares[0])} of the variance, the tenth ${percent(shares[Math.min(9, n - 1)])}` });
    for (let p = Math.ceil(low); p <= high; p++) {
      root.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(10 ** p), y2: y(10 ** p) }),
        svg("text", { x: box.left - 6, y: y(10 ** p) + 4, "text-anchor": "end" }, p >= -3 ? `${+(10 ** p * 100).toFixed(6)} %` : `10${superscript(p + 2)} %`));
    }
    for (const k of decades(n)) {
      if (width < 480 && !/^1/.test(String(k))) continue;
      root.append(svg("text", { x: x(k), y: height - 10, "text-anchor": "middle" }, count(k)));
    }
    root.append(svg("path", { class: "line", stroke: css(safe(0)), d: "M" + used.map((s, i) => `${x(i + 1).toFixed(1)} ${y(s).toFixed(1)}`).join("L") }));
    used.slice(0, 20).forEach((s, i) => root.append(svg("circle", { cx: x(i + 1), cy: y(s), r: 2.5, fill: css(safe(0)) })));
    probe(root, used.map((_, i) => x(i + 1)), box, (i) => [h("b", {}, `Component ${count(i + 1)}`), `${percent(shares[i])} of the variance`]);
    return root;
  });
}

function cumulative(r: Report, shares: number[]): HTMLElement {
  const n = shares.length;
  let running = 0;
  const sums = shares.map((s) => (running += s));
  return chart((width) => {
    const height = 260, box = frameOf(width, height, 52);
    const x = (k: number) => box.left + (box.right - box.left) * Math.log(k) / Math.log(Math.max(n, 2));
    const y = (s: number) => box.bottom - (box.bottom - box.top) * s;
    const root = svg("svg", { width, height, role: "img", "aria-label": "Cumulative variance: " +
      MARKS.map((m) => `${percent(m, 0)} with ${componentsFor(r.spectrum!, m)}`).join(", ") + " components" });
    for (const s of [0, 0.25, 0.5, 0.75, 1]) {
      root.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(s), y2: y(s) }),
        svg("text", { x: box.left - 6, y: y(s) + 4, "text-anchor": "end" }, percent(s, 0)));
    }
    for (const k of decades(n)) {
      if (width < 480 && !/^1/.test(String(k))) continue;
      root.append(svg("text", { x: x(k), y: height - 10, "text-anchor": "middle" }, count(k)));
    }
    if (r.kept && r.kept < n) {
      root.append(svg("rect", { class: "kept", x: box.left, width: x(r.kept) - box.left, y: box.top, height: box.bottom - box.top }));
    }
    root.append(svg("path", { class: "line", stroke: css(safe(2)), d: "M" + sums.map((s, i) => `${x(i + 1).toFixed(1)} ${y(s).toFixed(1)}`).join("L") }));
    // The labels stand one above the other to the left of their marks.
    MARKS.forEach((mark, i) => {
      const k = componentsFor(r.spectrum!, mark);
      const color = css(safe([1, 3, 4][i]));
      root.append(svg("path", { class: "mark", stroke: color, d: `M${box.left} ${y(mark)}H${x(k)}V${box.bottom}` }),
        svg("circle", { cx: x(k), cy: y(sums[k - 1]), r: 4.5, fill: color }));
    });
    probe(root, sums.map((_, i) => x(i + 1)), box, (i) => [h("b", {}, `${count(i + 1)} component${i ? "s" : ""}`), `${percent(sums[i])} of the variance`]);
    return root;
  });
}

export function spectrum(r: Report): Section {
  const values = r.spectrum!.map((v) => Math.max(0, v));
  const sum = values.reduce((a, b) => a + b, 0) || 1;
  const shares = values.map((v) => v / sum);
  const k = MARKS.map((mark) => componentsFor(values, mark));
  return { id: "spectrum", title: "How much the components explain",
    lead: [`Of ${count(values.length)} dimensions, ${count(k[0])} carry 70 % of the variance, ${count(k[1])} carry 92 % and ${count(k[2])} carry 95 %.` +
      (r.kept ? ` The reduced dataset keeps ${count(r.kept)}.` : "")],
    body: [h("div", { class: "pair" },
      panel("Scree: variance of each component", scree(shares), h("p", { class: "quiet axis-name" }, "component, logarithmic")),
      panel("Cumulative variance", cumulative(r, shares),
        h("p", { class: "keys" }, ...MARKS.map((mark, i) => h("span", { class: "key" },
          h("i", { style: { background: css(safe([1, 3, 4][i])) } }), `${percent(mark, 0)}: ${count(k[i])}`)),
        r.kept && r.kept < values.length ? h("span", { class: "key" }, h("i", { class: "kept-key" }), `kept: ${count(r.kept)}`) : null)))] };
}

// The 95 % interval of a share of n (Wilson 1927).
function wilson(p: number, n: number): [number, number] {
  const z = 1.959964, scale = 1 / (1 + z * z / n), centre = p + z * z / (2 * n);
  const spread = z * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return [Math.max(0, scale * (centre - spread)), Math.min(1, scale * (centre + spread))];
}

type Type = "f32" | "f16" | "u8";
const TYPES: Type[] = ["f32", "f16", "u8"];
const TYPE_NAMES = { f32: "32-bit float", f16: "16-bit float", u8: "8-bit integer" };

export function storage(r: Report): Section {
  const points = r.storage!.slice().sort((a, b) => a.k - b.k);
  const all = points.flatMap((p) => TYPES.filter((t) => p.accuracy[t] !== undefined)
    .map((t) => ({ p, t, accuracy: p.accuracy[t]!, size: p.bytes[t] })));
  const best = Math.max(...all.map((a) => a.accuracy));
  const cheapest = all.filter((a) => a.accuracy >= best - 0.002).sort((a, b) => a.size - b.size)[0];
  const basis = r.storageBasis;
  const whole = basis && basis.dimension > Math.max(...points.map((p) => p.k)) ? 4 * basis.dimension : 0;
  const [least95, most95] = basis ? wilson(cheapest.accuracy, basis.judged) : [0, 1];
  const full = whole || Math.max(...all.map((a) => a.size));
  const shapes: Record<Type, (x: number, y: number) => string> = {
    f32: (x, y) => `M${x - 4} ${y}a4 4 0 1 0 8 0a4 4 0 1 0-8 0`,
    f16: (x, y) => `M${x - 3.8} ${y - 3.8}h7.6v7.6h-7.6z`,
    u8: (x, y) => `M${x} ${y - 5}l5 9h-10z`,
  };
  const colors: Record<Type, string> = { f32: css(safe(0)), f16: css(safe(1)), u8: css(safe(2)) };
  const draw = chart((width) => {
    const height = 320, box = { left: 58, right: width - 16, top: 16, bottom: height - 40 };
    const least = Math.min(...all.map((a) => a.accuracy));
    const low = Math.max(0, least - Math.max(0.004, (1 - least) * 0.15)), high = Math.min(1, best + Math.max(0.002, (best - low) * 0.06));
    const sizesSeen = all.map((a) => a.size);
    const from = Math.log(Math.min(...sizesSeen)), to = Math.log(Math.max(...sizesSeen) * 1.05);
    const x = (size: number) => box.left + 12 + (box.right - box.left - 24) * (Math.log(size) - from) / Math.max(to - from, 1e-9);
    const y = (a: number) => box.bottom - (box.bottom - box.top) * (a - low) / Math.max(high - low, 1e-9);
    const root = svg("svg", { width, height, role: "img", "aria-label": "Accuracy against bytes per photo; the table below has the figures" });
    const digits = high - low > 0.05 ? 0 : high - low > 0.005 ? 1 : 2;
    const step = niceStep((high - low) / 5);
    for (let a = Math.ceil(low / step - 1e-9) * step; a <= high + 1e-9; a += step) {
      root.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(a), y2: y(a) }),
        svg("text", { x: box.left - 6, y: y(a) + 4, "text-anchor": "end" }, percent(a, digits)));
    }
    let last = -100;
    for (let p = 0; p < 24; p++) {
      const size = 2 ** p;
      if (Math.log(size) < from - 0.01 || Math.log(size) > to || x(size) - last < 52) continue;
      last = x(size);
      root.append(svg("text", { x: x(size), y: box.bottom + 18, "text-anchor": "middle" }, bytes(size)));
    }
    root.append(svg("text", { x: box.right, y: height - 4, "text-anchor": "end" }, "bytes per photo, logarithmic"));
    root.append(svg("line", { class: "sweet", x1: x(cheapest.size), x2: x(cheapest.size), y1: box.top, y2: box.bottom }));
    for (const t of TYPES) {
      const own = all.filter((a) => a.t === t);
      if (!own.length) continue;
      root.append(svg("path", { class: "line", stroke: colors[t], d: "M" + own.map((a) => `${x(a.size)} ${y(a.accuracy)}`).join("L") }));
      for (const a of own) {
        const mark = svg("path", { d: shapes[t](x(a.size), y(a.accuracy)), fill: colors[t], class: a === cheapest ? "dot chosen" : "dot" });
        mark.addEventListener("pointermove", (e) => showTip(e.clientX, e.clientY, h("b", {}, `${count(a.p.k)} components as ${TYPE_NAMES[t]}`),
          `${percent(a.accuracy)} right, ${bytes(a.size)} per photo`));
        mark.addEventListener("pointerleave", hideTip);
        root.append(mark);
      }
    }
    return root;
  });
  const cell = (p: StoragePoint, t: Type) => p.accuracy[t] === undefined ? "–"
    : h("span", { class: p === cheapest.p && t === cheapest.t ? "best" : "" }, percent(p.accuracy[t]!), h("small", {}, ` ${bytes(p.bytes[t])}`));
  return { id: "storage", title: "The least information to store",
    lead: [h("b", {}, `${count(cheapest.p.k)} components as ${TYPE_NAMES[cheapest.t]}: ${bytes(cheapest.size)} per photo`),
      ` stay within 0.2 points of the best accuracy (${percent(cheapest.accuracy)} against ${percent(best)})` +
      (full > cheapest.size * 1.5 ? `, in ${percent(cheapest.size / full, cheapest.size / full < 0.01 ? 2 : 1)} of the space of ` +
        (whole ? `all ${count(basis!.dimension)} features as 32-bit floats (${bytes(whole)}).` : "the largest.") : "."),
      ...(basis ? [` Judged on ${judgedOn(basis.judged, basis.split)} that neither the PCA nor the head had seen (95\u00a0% interval of the chosen one: ` +
        `${percent(least95, 1).slice(0, -2)}\u00a0–\u00a0${percent(most95, 1)}); the head is ` +
        `${basis.head === "lda" ? "a linear discriminant" : basis.head}, trained anew for each figure on ${plural(basis.trained, "photo")} as stored. ` +
        "As 8-bit integers, each component goes from its least to its largest value in training in 255 steps."] : [])],
    body: [h("div", { class: "pair" }, panel("Accuracy against size", draw, h("p", { class: "keys" }, ...TYPES
      .filter((t) => all.some((a) => a.t === t)).map((t) => h("span", { class: "key" },
        (() => { const s = svg("svg", { width: 14, height: 14 }); s.append(svg("path", { d: shapes[t](7, 8), fill: colors[t] })); return s; })(), TYPE_NAMES[t])))),
    panel("The figures", table(["k", ...TYPES.map((t) => TYPE_NAMES[t])],
      points.map((p) => [count(p.k), ...TYPES.map((t) => cell(p, t))]))))] };
}
