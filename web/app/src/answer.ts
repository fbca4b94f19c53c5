// SPDX-License-Identifier: Apache-2.0
// What the page shows of an answer: name, how sure, candidates, further targets, similar photos, facts.

import { h } from "../../common/elements";
import type { Catalogue, Fact } from "./catalogue";
import type { Answer, Candidate, SimilarPhoto, TargetAnswer } from "./classifier";
import { icon } from "./dom";
import { number, percent, t } from "./text";

export type Surety = "certain" | "confident" | "unsure" | "unknown";

export function surety(answer: Answer, target: TargetAnswer): Surety {
  if (answer.unknown) return "unknown";
  if (!target.confident) return "unsure";
  return target.probability >= 0.95 ? "certain" : "confident";
}

function bar(share: number): HTMLElement {
  const filled = h("i");
  filled.style.width = `${Math.max(1, Math.min(100, share * 100))}%`;
  return h("span", { class: "bar", "aria-hidden": "true" }, filled);
}

function candidates(catalogue: Catalogue, title: string, list: Candidate[]): HTMLElement | null {
  if (list.length === 0) return null;
  return h("section", { class: "candidates", "aria-label": title },
    h("h3", {}, title),
    h("ul", {}, ...list.map((one) => h("li", {},
      h("span", { class: "who" }, catalogue.name(one.label)), bar(one.probability), h("span", { class: "share" }, percent(one.probability))))));
}

// The heading takes the focus once the answer is there, so that keyboard and screen reader go on from it.
export function answerView(catalogue: Catalogue, answer: Answer): HTMLElement {
  const texts = t();
  const target = answer.targets[0];
  const sure = surety(answer, target);
  const name = catalogue.name(target.label);
  const heading = h("h2", { tabindex: -1, id: "answer-name" },
    sure === "unknown" ? texts.unknownTitle : sure === "unsure" ? texts.unsureTitle : name);
  const view = h("article", { class: `answer ${sure}`, "aria-labelledby": "answer-name", "data-label": target.label }, heading);
  if (sure === "unknown") {
    view.append(h("p", { class: "say" }, texts.unknownText), candidates(catalogue, texts.closest, target.top.slice(0, 3))!);
  } else if (sure === "unsure") {
    view.append(h("p", { class: "say" }, texts.unsureText(name)), candidates(catalogue, texts.candidatesUnsure, target.top.slice(0, 3))!);
  } else {
    view.append(h("p", { class: "sure" }, h("strong", { class: "badge" }, texts[sure as Exclude<Surety, "unknown">]), h("span", {}, texts.probability(percent(target.probability)))));
    const others = candidates(catalogue, texts.candidates, target.top.slice(1, 3));
    if (others) view.append(others);
  }
  if (answer.targets.length > 1 && sure !== "unknown") {
    view.append(h("section", { class: "further", "aria-label": texts.further }, h("h3", {}, texts.further),
      h("dl", {}, ...answer.targets.slice(1).flatMap((one) => [
        h("dt", {}, catalogue.name(one.name)),
        h("dd", {}, catalogue.name(one.label), " ", h("span", { class: "quiet" },
          `${percent(one.probability)} · ${one.confident ? texts[surety(answer, one) as "certain" | "confident"] : texts.unsure}`))]))));
  }
  return view;
}

export function similarView(catalogue: Catalogue, photos: SimilarPhoto[]): HTMLElement | null {
  const shown = photos.filter((photo) => photo.picture || photo.label);
  if (shown.length === 0) return null;
  return h("section", { class: "card similar", "aria-label": t().similar }, h("h3", {}, t().similar),
    h("ul", {}, ...shown.map((photo) => {
      const name = photo.label ? catalogue.name(photo.label) : "";
      return h("li", {},
        photo.picture ? h("img", { src: photo.picture, alt: t().similarOne(name), loading: "lazy" }) : null,
        h("span", {}, name), photo.similarity === undefined ? null : h("span", { class: "quiet" }, percent(photo.similarity)));
    })));
}

const units: Record<string, string> = { energy_kcal: "kcal" };

export function factsView(catalogue: Catalogue, label: string): HTMLElement | null {
  const entry = catalogue.entry(label);
  if (!entry) return null;
  const texts = t();
  const used: string[] = [];
  // A small number that leads to the list of sources.
  const note = (source?: string) => {
    if (!source || !catalogue.source(source)) return null;
    if (!used.includes(source)) used.push(source);
    return h("sup", {}, String(used.indexOf(source) + 1));
  };
  const fact = (title: string, drawing: "leaf" | "sun" | "box", value?: Fact) => value
    ? [h("dt", {}, icon(drawing), title), h("dd", {}, value.text, note(value.source))] : [];
  const rows = [...fact(texts.kind, "leaf", entry.kind), ...fact(texts.season, "sun", entry.season), ...fact(texts.storage, "box", entry.storage)];
  const card = h("section", { class: "card facts", "aria-labelledby": "facts-title" },
    h("h3", { id: "facts-title" }, texts.facts),
    entry.latin ? h("p", { class: "latin", lang: "la" }, entry.latin) : null,
    entry.about ? h("p", {}, entry.about.text, note(entry.about.source)) : null,
    rows.length ? h("dl", {}, ...rows) : null);
  if (entry.nutrition) {
    const named = texts as unknown as Record<string, string>;
    card.append(h("table", {},
      h("caption", {}, icon("scale"), texts.nutrition, note(entry.nutrition.source)),
      h("tbody", {}, ...entry.nutrition.values.map(([key, value]) => h("tr", { class: key === "sugars_g" ? "part" : undefined },
        h("th", { scope: "row" }, named[key]), h("td", {}, `${number(value, 1)}\u00a0${units[key] ?? key.slice(key.lastIndexOf("_") + 1)}`))))));
  }
  if (used.length) {
    card.append(h("details", {}, h("summary", {}, texts.sources), h("ol", {}, ...used.map((key) => {
      const source = catalogue.source(key)!;
      const safe = source.url && /^https?:\/\//.test(source.url);
      return h("li", {}, safe ? h("a", { href: source.url, rel: "noreferrer noopener", target: "_blank" }, source.title) : source.title);
    }))));
  }
  return card;
}
