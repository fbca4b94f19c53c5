// SPDX-License-Identifier: Apache-2.0
// Builds the page from the data that follows it in the file.

import { h } from "../../common/elements";
import { Report, readReport } from "./data";
import { isSlide } from "./dom";
import { confusion, mistakes, perClass } from "./judgement";
import { classes, componentEnds, cost, overview, sizes } from "./overview";
import { Section, frame } from "./parts";
import { details, rejects, run } from "./run";
import { scatter } from "./scatter";
import { spectrum, storage } from "./spectrum";

const builders: Record<string, { name: string; build: (r: Report) => Section }> = {
  overview: { name: "At a glance", build: overview },
  scatter: { name: "Photos in space", build: scatter },
  confusion: { name: "Confusion", build: confusion },
  "per-class": { name: "Per class", build: perClass },
  mistakes: { name: "Mistakes", build: mistakes },
  spectrum: { name: "Variance", build: spectrum },
  components: { name: "Components", build: componentEnds },
  storage: { name: "Storage", build: storage },
  classes: { name: "Classes", build: classes },
  sizes: { name: "Sizes", build: sizes },
  rejects: { name: "Rejects", build: rejects },
  run: { name: "Run", build: run },
  cost: { name: "Cost", build: cost },
  details: { name: "Details", build: details },
};

function when(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso
    : date.toLocaleString("en", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" }) + " UTC";
}

const report = readReport();
const slide = /^#slide=([a-z-]+)$/.exec(location.hash)?.[1];
if (slide) document.documentElement.classList.add("slide");

document.getElementById("top")!.replaceChildren(
  h("div", { class: "brand" }, h("span", { class: "logo", "aria-hidden": "true" }), "Pomona"),
  h("h1", {}, report.title),
  h("p", {}, report.subtitle, report.subtitle && report.generated ? " · " : "",
    report.generated ? h("time", { datetime: report.generated }, when(report.generated)) : ""));

const ids = report.sections.filter((id) => id in builders);
if (!isSlide()) {
  const links = new Map(ids.map((id) => [id, h("a", { href: `#${id}` }, builders[id].name)]));
  const nav = h("nav", { "aria-label": "Sections" }, h("div", {}, ...links.values()));
  document.getElementById("main")!.before(nav);
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((link, id) => id === entry.target.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
      const link = links.get(entry.target.id)!;
      const strip = nav.firstElementChild!;
      strip.scrollTo({ left: link.offsetLeft - strip.clientWidth / 2 + link.clientWidth / 2 });
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  queueMicrotask(() => ids.forEach((id) => { const el = document.getElementById(id); if (el) seen.observe(el); }));
}

const main = document.getElementById("main")!;
main.replaceChildren();
for (const id of ids) {
  if (slide && id !== slide) continue;
  main.append(frame(builders[id].build(report)));
}

// A slide's content grows or shrinks until it fills the slide. Charts keep their height whatever their width, so
// that the layout at hand decides.
function fitSlide(section: HTMLElement) {
  const parts = [...section.children].slice(1) as HTMLElement[];
  for (let zoom = 1.7; zoom > 0.5; zoom -= 0.06) {
    parts.forEach((part) => part.style.setProperty("zoom", zoom.toFixed(2)));
    if (section.getBoundingClientRect().bottom <= innerHeight - 76) return;
  }
}
if (slide && slide !== "scatter" && slide !== "confusion" && main.firstElementChild) {
  const section = main.firstElementChild as HTMLElement;
  // Once the charts stand: they are drawn when their width is known.
  new ResizeObserver(() => fitSlide(section)).observe(section);
  addEventListener("resize", () => fitSlide(section));
}

document.body.append(h("footer", {},
  h("p", {}, `Made by Pomona ${report.version}. This file needs no network. The pictures in it are small copies made from pixels: ` +
    "they carry no place, time or camera.")));
document.documentElement.dataset.ready = "true";
if (location.hash && !slide) document.getElementById(location.hash.slice(1))?.scrollIntoView();
