// SPDX-License-Identifier: Apache-2.0
// catalogue.json: what is known about each class, edited by whoever runs the page. A part that is missing or of
// another shape is left out; the page goes on.

import { language } from "./text";

type Told = Record<string, string>; // by language tag

export interface Source {
  title: string;
  url?: string;
}
export interface Fact {
  text: string;
  source?: string; // key of sources
}
export interface Entry {
  name: string;
  latin?: string;
  about?: Fact;
  kind?: Fact;
  season?: Fact;
  storage?: Fact;
  nutrition?: { values: [string, number][]; source?: string };
}

interface RawEntry {
  fruit?: string;
  name?: Told;
  latin?: string;
  nutrition?: { per_100_g?: Record<string, number>; source?: string } | null;
  [fact: string]: unknown;
}

const order = ["energy_kcal", "carbohydrate_g", "sugars_g", "fibre_g", "protein_g", "fat_g", "vitamin_c_mg", "potassium_mg"];

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

function told(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  const text = value[language()] ?? value.en ?? Object.values(value)[0];
  return typeof text === "string" && text ? text : undefined;
}

export class Catalogue {
  private fruits: Record<string, RawEntry> = {};
  private classes: Record<string, RawEntry> = {};
  private sources: Record<string, Source> = {};

  static async load(): Promise<Catalogue> {
    const made = new Catalogue();
    try {
      const answer = await fetch("./catalogue.json");
      const json: unknown = answer.ok ? await answer.json() : {};
      if (!isObject(json)) return made;
      if (isObject(json.fruits)) made.fruits = json.fruits as Record<string, RawEntry>;
      if (isObject(json.classes)) made.classes = json.classes as Record<string, RawEntry>;
      if (isObject(json.sources)) made.sources = json.sources as unknown as Record<string, Source>;
    } catch { /* No catalogue: labels are shown as they are. */ }
    return made;
  }

  // The name of a class in the reader's language; the label itself where the catalogue does not know it.
  name(label: string): string {
    return told(this.own(this.classes, label)?.name) ?? told(this.own(this.fruits, label)?.name) ?? label;
  }

  // The label whose name (or which itself) somebody wrote, else what was written.
  label(written: string, labels: string[]): string {
    const folded = (text: string) => text.trim().toLocaleLowerCase();
    const wanted = folded(written);
    return labels.find((label) => folded(label) === wanted || folded(this.name(label)) === wanted) ?? written.trim();
  }

  // Facts of a class; those it does not state come from its fruit.
  entry(label: string): Entry | null {
    const own = this.own(this.classes, label);
    const fruit = this.own(this.fruits, own?.fruit ?? label);
    if (!own && !fruit) return null;
    const fact = (key: string): Fact | undefined => {
      // A class's own null leaves the fruit's fact out.
      const value = own && key in own ? own[key] : fruit?.[key];
      const text = isObject(value) ? told(value.text) : undefined;
      const source = isObject(value) && typeof value.source === "string" ? value.source : undefined;
      return text ? { text, source } : undefined;
    };
    const nutrition = own && "nutrition" in own ? own.nutrition : fruit?.nutrition;
    const values = order.filter((key) => Number.isFinite(nutrition?.per_100_g?.[key]))
      .map((key): [string, number] => [key, nutrition!.per_100_g![key]]);
    return {
      name: this.name(label),
      latin: own?.latin ?? fruit?.latin,
      about: fact("about"), kind: fact("kind"), season: fact("season"), storage: fact("storage"),
      nutrition: values.length ? { values, source: nutrition?.source } : undefined,
    };
  }

  source(key: string): Source | undefined {
    const found = this.own(this.sources, key);
    return found && typeof found.title === "string" ? found : undefined;
  }

  private own<T>(table: Record<string, T>, key: string): T | undefined {
    return Object.hasOwn(table, key) && isObject(table[key]) ? table[key] : undefined;
  }
}
