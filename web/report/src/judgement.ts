// SPDX-License-Identifier: Apache-2.0
// How good the classifier is: per class, confusion matrix, the most confident mistakes.

import { h } from "../../common/elements";
import { css, isDark, onSchemeChange, variable } from "./colors";
import { ClassMetrics, Report, u32 } from "./data";
import { count, hideTip, isSlide, percent, plural, responsive, showTip } from "./dom";
import { Section, choice, longList, panel, picture, table } from "./parts";

export function perClass(r: Report): Section {
  const rows = r.evaluation!.perClass;
  const kinds: { name: string; of: (m: ClassMetrics) => number }[] = [{ name: "F1", of: (m) => m.f1 },
    { name: "Precision", of: (m) => m.precision }, { name: "Recall", of: (m) => m.recall }];
  const perfect = rows.filter((m) => m.f1 >= 1).length;
  const worst = rows.slice().sort((a, b) => a.f1 - b.f1)[0];
  const host = h("div");
  const draw = (kind: number) => {
    const { of, name } = kinds[kind];
    // Bars start at a round figure below the worst, said beside them, so that differences show.
    const least = Math.min(...rows.map(of));
    const base = Math.max(0, Math.floor((least - 0.02) * 20) / 20);
    const sorted = rows.slice().sort((a, b) => of(a) - of(b) || b.support - a.support || a.label.localeCompare(b.label, "en", { numeric: true }));
    const row = (m: ClassMetrics) => {
      const share = (of(m) - base) / (1 - base);
      const line = h("div", { class: "row", role: "listitem" }, h("span", { class: "name", title: m.label }, m.label),
        h("span", { class: "track" }, h("span", { class: "bar", style: { width: `${100 * share}%`,
          background: of(m) >= 1 ? "var(--good)" : "var(--accent)" } })), h("span", { class: "value" }, percent(of(m))));
      line.addEventListener("pointermove", (e) => showTip(e.clientX, e.clientY, h("b", {}, m.label),
        `precision ${percent(m.precision)}, recall ${percent(m.recall)}, F1 ${percent(m.f1)}`, h("span", { class: "quiet" }, plural(m.support, "photo"))));
      line.addEventListener("pointerleave", hideTip);
      return line;
    };
    host.replaceChildren(h("p", { class: "keys" }, `${name}, the worst first. Bars start at ${percent(base, 0)}.`),
      longList(sorted, (m) => m.label, row, { noun: "class", className: rows.length > 12 ? "rows columns" : "rows", first: 36 }));
  };
  draw(0);
  return { id: "per-class", title: "Class by class",
    lead: [`${perfect} of ${plural(rows.length, "class", "classes")} without a single error` +
      (worst.f1 < 1 ? `; the hardest is ${worst.label} (F1 ${percent(worst.f1)}).` : ".")],
    body: [h("div", { class: "tools" }, choice("Figure", kinds.map((k) => k.name), 0, draw)), host] };
}

export function confusion(r: Report): Section {
  const names = r.evaluation!.classes, n = names.length, counts = u32(r.evaluation!.confusion!);
  const sums = names.map((_, i) => counts.subarray(i * n, (i + 1) * n).reduce((a, b) => a + b, 0));
  const total = sums.reduce((a, b) => a + b, 0);
  const wrong: { truth: number; said: number; count: number }[] = [];
  let right = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (i === j) right += counts[i * n + j];
      else if (counts[i * n + j]) wrong.push({ truth: i, said: j, count: counts[i * n + j] });
    }
  }
  wrong.sort((a, b) => b.count - a.count);
  const canvas = h("canvas", { tabindex: "0", role: "img",
    "aria-label": `Confusion matrix of ${n} classes; ${count(total - right)} of ${count(total)} photos off the diagonal` });
  const said = h("p", { class: "status", "aria-live": "polite" }, "Rows: true class. Columns: predicted. Point at a cell, or use the arrow keys.");
  let geometry = { left: 0, top: 0, cell: 1 };
  let cursor = [-1, -1];

  const paint = (width: number) => {
    const narrow = width < 560 || n > 60;
    const most = isSlide() ? Math.max(200, host.clientHeight - 4) : Math.min(760, innerHeight);
    const context = canvas.getContext("2d")!;
    const font = (px: number) => `${px}px ${variable("--sans")}`;
    let label = 0;
    const textSize = Math.max(9, Math.min(13, (Math.min(width, most) - 120) / n * 0.72));
    context.font = font(textSize);
    const named = !narrow && (Math.min(width, most) - 150) / n >= 11;
    if (named) label = Math.min(150, Math.max(...names.map((s) => context.measureText(s).width)) + 10);
    const cell = Math.max(1, Math.min(n <= 8 ? 76 : 44, Math.floor((Math.min(width, most) - label - 2) / n * 10) / 10));
    const side = cell * n, ratio = Math.min(devicePixelRatio || 1, 2);
    geometry = { left: label, top: label, cell };
    canvas.width = Math.round((label + side + 2) * ratio);
    canvas.height = Math.round((label + side + 2) * ratio);
    canvas.style.width = `${label + side + 2}px`;
    canvas.style.height = `${label + side + 2}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, label + side + 2, label + side + 2);
    context.fillStyle = variable("--cell");
    context.fillRect(label, label, side, side);
    const gap = cell > 6 ? 1 : 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const value = counts[i * n + j];
        if (!value) continue;
        const share = value / Math.max(1, sums[i]);
        // Errors in orange from the first photo on, so that a single one is seen; hits in blue.
        const alpha = i === j ? 0.25 + 0.75 * share ** 2 : Math.min(1, 0.45 + 1.5 * share);
        context.fillStyle = i === j ? css(isDark() ? [70, 160, 220] : [0, 114, 178], alpha) : css(isDark() ? [240, 130, 50] : [213, 94, 0], alpha);
        context.fillRect(label + j * cell, label + i * cell, cell - gap, cell - gap);
        if (cell >= 17) {
          context.font = font(Math.min(12, cell * 0.45));
          context.fillStyle = alpha > 0.6 ? (isDark() ? "#101214" : "#fff") : variable("--ink");
          context.textAlign = "center";
          context.fillText(count(value), label + (j + 0.5) * cell - gap / 2, label + (i + 0.5) * cell + 4);
        }
      }
    }
    if (named) {
      context.font = font(textSize);
      for (let i = 0; i < n; i++) {
        context.fillStyle = cursor[0] === i || cursor[1] === i ? variable("--ink") : variable("--ink-2");
        context.textAlign = "right";
        context.fillText(fit(context, names[i], label - 8), label - 6, label + (i + 0.5) * cell + textSize * 0.35);
        context.save();
        context.translate(label + (i + 0.5) * cell + textSize * 0.35, label - 6);
        context.rotate(-Math.PI / 2);
        context.textAlign = "left";
        context.fillText(fit(context, names[i], label - 8), 0, 0);
        context.restore();
      }
    }
    if (cursor[0] >= 0) {
      context.strokeStyle = variable("--ink");
      context.lineWidth = 1.5;
      context.strokeRect(label + cursor[1] * cell - 0.5, label + cursor[0] * cell - 0.5, cell + 1, cell + 1);
    }
  };
  const fit = (context: CanvasRenderingContext2D, text: string, room: number) => {
    if (context.measureText(text).width <= room) return text;
    while (text.length > 1 && context.measureText(text + "…").width > room) text = text.slice(0, -1);
    return text + "…";
  };
  const tell = (i: number, j: number) => {
    const value = counts[i * n + j];
    return i === j ? `${names[i]}: ${count(value)} of ${count(sums[i])} right (${percent(value / Math.max(1, sums[i]))})`
      : `${names[i]} taken for ${names[j]}: ${count(value)} of ${count(sums[i])}`;
  };
  let width = 0;
  const host = responsive(h("div", { class: "matrix" }), (w) => { width = w; paint(w); return canvas; });
  canvas.addEventListener("pointermove", (e) => {
    const box = canvas.getBoundingClientRect();
    const j = Math.floor((e.clientX - box.left - geometry.left) / geometry.cell);
    const i = Math.floor((e.clientY - box.top - geometry.top) / geometry.cell);
    const inside = i >= 0 && j >= 0 && i < n && j < n;
    if (inside) showTip(e.clientX, e.clientY, tell(i, j)); else hideTip();
    const next = inside ? [i, j] : [-1, -1];
    if (next[0] !== cursor[0] || next[1] !== cursor[1]) { cursor = next; paint(width); }
  });
  canvas.addEventListener("pointerleave", () => { cursor = [-1, -1]; hideTip(); paint(width); });
  canvas.addEventListener("keydown", (e) => {
    const moves: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[e.key];
    if (!move) return;
    e.preventDefault();
    cursor = cursor[0] < 0 ? [0, 0] : [Math.max(0, Math.min(n - 1, cursor[0] + move[0])), Math.max(0, Math.min(n - 1, cursor[1] + move[1]))];
    said.textContent = tell(cursor[0], cursor[1]);
    paint(width);
  });
  onSchemeChange(() => paint(width));

  const shown = wrong.slice(0, isSlide() ? 12 : 15);
  return { id: "confusion", title: "What is taken for what",
    lead: [total === right ? `All ${plural(total, "photo")} on the diagonal.`
      : `${count(total - right)} of ${plural(total, "photo")} off the diagonal, in ${plural(wrong.length, "kind")} of confusion.`],
    body: [h("div", { class: "pair wide-left" }, h("div", {}, host, said), wrong.length ? panel("The most frequent confusions",
      table(["True", "Predicted", "Photos"], shown.map((w) => [names[w.truth], names[w.said], `${count(w.count)} of ${count(sums[w.truth])}`]), 2)) : h("div"))] };
}

export function mistakes(r: Report): Section {
  const list = r.mistakes!.slice(0, isSlide() ? 15 : undefined), total = r.mistakesTotal ?? list.length;
  return { id: "mistakes", title: "The most confident mistakes",
    lead: [total > list.length ? `${count(list.length)} of ${plural(total, "mistake")}, the surest first. ` : "",
      "A wrong label in the data often shows here first."],
    body: [h("ol", { class: "mistakes" }, ...list.map((m) => h("li", {}, m.thumbnail >= 0 ? picture(r, m.thumbnail, m.path)
      : h("span", { class: "photo" }), h("div", {}, h("p", {}, h("span", { class: "said" }, m.predicted), ` ${percent(m.probability)}`),
      h("p", { class: "truth" }, "is ", h("b", {}, m.label)), h("p", { class: "path", title: m.path }, h("bdi", { dir: "ltr" }, m.path))))))] };
}

