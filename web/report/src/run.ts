// SPDX-License-Identifier: Apache-2.0
// What ran: timeline, seconds per stage, rejects, versions and options.

import { h, svg } from "../../common/elements";
import { css, palette } from "./colors";
import { Report } from "./data";
import { count, percent, plural, seconds, withTip } from "./dom";
import { niceStep } from "./cloud";
import { Section, barRow, chart, panel } from "./parts";

function stageColors(r: Report): Map<string, string> {
  const names = [...new Set([...(r.stageSeconds ?? []).map((s) => s[0]), ...(r.timeline?.stages ?? [])])];
  const colors = palette(names.length);
  return new Map(names.map((name, i) => [name, css(colors[i])]));
}

// Times of an axis: no more digits than its step has.
function tick(t: number, step: number): string {
  if (t === 0) return "0";
  return step < 1 || t >= 120 ? seconds(t) : `${+t.toFixed(1)}\u00a0s`;
}

function timeline(r: Report, colors: Map<string, string>): HTMLElement {
  const { stages, lanes, spans } = r.timeline!;
  const end = Math.max(...spans.map((s) => s[3]), 1e-9);
  const line = Math.max(10, Math.min(26, 320 / lanes.length));
  return chart((width) => {
    const label = Math.min(130, width * 0.26), plot = width - label - 12, height = lanes.length * (line + 4);
    const x = (t: number) => label + plot * t / end;
    const root = svg("svg", { width, height: height + 26, role: "img",
      "aria-label": `Timeline of ${plural(stages.length, "stage")} on ${plural(lanes.length, "lane")} over ${seconds(end)}` });
    const step = niceStep(end / Math.max(2, plot / 90));
    for (let t = 0; t <= end * 1.0001; t += step) {
      root.append(svg("line", { class: "grid", x1: x(t), x2: x(t), y1: 0, y2: height }),
        svg("text", { x: x(t), y: height + 18, "text-anchor": t === 0 ? "start" : x(t) > width - 30 ? "end" : "middle" }, tick(t, step)));
    }
    lanes.forEach((lane, i) => root.append(svg("text", { x: 0, y: i * (line + 4) + line / 2 + 4 },
      lane.length > label / 7 ? lane.slice(0, Math.floor(label / 7) - 1) + "…" : lane)));
    for (const [stage, lane, from, to] of spans) {
      const bar = svg("rect", { x: x(from), y: lane * (line + 4), width: Math.max(1.5, x(to) - x(from)), height: line,
        rx: Math.min(3, (x(to) - x(from)) / 2), fill: colors.get(stages[stage]) });
      root.append(withTip(bar, () => [h("b", {}, stages[stage]), `${lanes[lane]}, ${seconds(from)} to ${seconds(to)}`,
        h("span", { class: "quiet" }, `took ${seconds(to - from)}`)]));
    }
    return root;
  });
}

export function run(r: Report): Section {
  const colors = stageColors(r);
  const body: Node[] = [];
  const lead: string[] = [];
  if (r.run.seconds > 0) {
    lead.push(`${r.counts ? plural(r.counts.listed, "photo") + " in " : ""}${seconds(r.run.seconds)}`);
  }
  const stages = (r.stageSeconds ?? []).slice().sort((a, b) => b[1] - a[1]);
  const total = stages.reduce((sum, s) => sum + s[1], 0);
  if (stages.length && total > 0) {
    lead.push(`${lead.length ? "; " : ""}most of the work, ${percent(stages[0][1] / total, 0)}, was “${stages[0][0]}”`);
  }
  if (lead.length) lead.push(".");
  const pair: HTMLElement[] = [];
  if (r.timeline) {
    const keys = h("p", { class: "keys" }, ...r.timeline.stages.map((stage) => h("span", { class: "key" },
      h("i", { style: { background: colors.get(stage)! } }), stage)));
    pair.push(panel("Timeline", timeline(r, colors), keys));
  }
  if (stages.length) {
    const most = Math.max(stages[0][1], 1e-12);
    pair.push(panel("Time per stage, all threads together", h("div", { class: "rows", role: "list" }, ...stages.map(([name, s]) => barRow({
      name, value: `${seconds(s)} · ${total > 0 && s / total < 0.005 ? "<1\u00a0%" : percent(total > 0 ? s / total : 0, 0)}`,
      bars: [{ share: s / most, color: colors.get(name)! }],
    })))));
  }
  if (pair.length) body.push(h("div", { class: "pair" }, ...pair));
  return { id: "run", title: "What ran, and how long", lead: [lead.join("")], body };
}

export function details(r: Report): Section {
  const list = (title: string, rows: [string, string][]) => rows.length ? panel(title,
    h("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))) : null;
  const body: Node[] = [];
  if (r.run.command) body.push(h("pre", { class: "command", tabindex: "0" }, h("code", {}, r.run.command)));
  body.push(h("div", { class: "pair" }, ...[list("What", r.run.facts), list("Options", r.run.options),
    list("Versions", r.run.versions)].filter((x): x is HTMLElement => x !== null)));
  return { id: "details", title: "To do it again", lead: [], body };
}

export function rejects(r: Report): Section {
  const c = r.counts!;
  const groups = (r.rejects ?? []).slice().sort((a, b) => b.count - a.count);
  const most = Math.max(1, ...groups.map((g) => g.count));
  const lead = c.rejected === 0 ? `All ${plural(c.listed, "photo")} that were found could be used.`
    : `${count(c.listed)} found, ${count(c.written)} used, ${count(c.rejected)} rejected (${percent(c.rejected / Math.max(1, c.listed))}).`;
  return { id: "rejects", title: "Rejected photos", lead: [lead],
    body: groups.length ? [h("div", { class: "rejects" }, ...groups.map((g) => h("details", {},
      h("summary", {}, h("span", { class: "stage" }, g.stage), h("span", { class: "reason" }, g.reason),
        h("span", { class: "track" }, h("span", { class: "bar", style: { width: `${100 * g.count / most}%`, background: "var(--bad)" } })),
        h("span", { class: "value" }, count(g.count))),
      h("ul", {}, ...g.examples.map((path) => h("li", { class: "path" }, path))))))] : [] };
}
