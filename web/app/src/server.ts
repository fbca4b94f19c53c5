// SPDX-License-Identifier: Apache-2.0
// A Pomona server as classifier: its HTTP API, as /openapi.json describes it.

import { Answer, Candidate, Classifier, Contribution, Failure, FailureCode, ModelInfo, SimilarPhoto, TargetAnswer, Withdrawal } from "./classifier";
import { fitToSend } from "./photo";

type Json = Record<string, unknown>;

const asObject = (value: unknown): Json => (typeof value === "object" && value !== null && !Array.isArray(value) ? value as Json : {});
const asList = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const asText = (value: unknown): string => (typeof value === "string" ? value : "");
const asNumber = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);

const codes: Record<number, FailureCode> = { 401: "not_allowed", 403: "not_allowed", 413: "too_large",
  415: "not_a_photo", 422: "not_a_photo", 429: "busy", 503: "busy", 507: "full" };
// What the server's own word tells better than the status.
const words: Record<string, FailureCode> = { no_photo: "not_a_photo", contributions_full: "full" };

// One exchange; every way to fail becomes a Failure.
export async function ask(address: string, init: RequestInit = {}): Promise<Json> {
  let response: Response;
  try {
    response = await fetch(address, { credentials: "same-origin", ...init });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new Failure("offline");
  }
  const body = asObject(await response.json().catch(() => ({})));
  if (response.ok) return body;
  const error = asObject(body.error);
  const word = asText(error.code);
  const code = words[word] ?? codes[response.status] ?? (response.status < 500 ? "refused" : "broken");
  throw new Failure(code, asText(error.message), word);
}

const candidate = (value: unknown): Candidate => {
  const json = asObject(value);
  return { label: asText(json.label), probability: asNumber(json.probability) };
};

export function readAnswer(photo: Json): Answer {
  if (photo.error) throw new Failure("not_a_photo", asText(asObject(photo.error).message));
  const targets = asList(photo.targets).map((value): TargetAnswer => {
    const json = asObject(value);
    const best = candidate(json);
    const top = asList(json.top).map(candidate);
    return { ...best, name: asText(json.name), confident: json.confident === true, top: top.length ? top : [best] };
  });
  if (targets.length === 0) throw new Failure("broken", "an answer without a target");
  return { targets, unknown: photo.unknown === true, distance: typeof photo.distance === "number" ? photo.distance : undefined };
}

// A server that keeps contributions says so in config.json of the page.
export interface ServerConfig {
  contributions: boolean;
  similar: boolean;
}

export class ServerClassifier implements Classifier {
  readonly sendsPhotos = true;
  readonly contributions: boolean;
  private known: ModelInfo[] = [];
  private model = "";
  private sent = new WeakMap<Blob, Promise<Blob>>();

  constructor(private config: ServerConfig) {
    this.contributions = config.contributions;
  }

  async prepare() {
    const json = await ask("./v1/models");
    this.known = asList(json.models).map((value): ModelInfo => {
      const model = asObject(value);
      const target = asObject(asList(model.targets)[0]);
      return { name: asText(model.name), title: asText(model.title) || asText(model.name), labels: asList(target.labels).map(asText) };
    });
    this.model = asText(json.default) || this.known[0]?.name || "";
  }

  models() {
    return [...this.known].sort((a, b) => Number(b.name === this.model) - Number(a.name === this.model));
  }

  use(model: string) {
    this.model = model;
  }

  async classify(photo: Blob, signal: AbortSignal): Promise<Answer> {
    const body = await this.fit(photo);
    const json = await ask(this.address("classify", { top: "4" }), { method: "POST", body, signal, headers: this.headers(body) });
    return readAnswer(asObject(asList(json.photos)[0] ?? json));
  }

  async similar(photo: Blob, signal: AbortSignal): Promise<SimilarPhoto[]> {
    if (!this.config.similar) return [];
    const body = await this.fit(photo);
    const json = await ask(this.address("similar", { k: "6" }), { method: "POST", body, signal, headers: this.headers(body) });
    const photos = asObject(asList(json.photos)[0] ?? json);
    return asList(photos.similar ?? photos.neighbours).map((value) => {
      const near = asObject(value);
      return {
        label: asText(near.label) || undefined,
        picture: asText(near.thumbnail) || undefined,
        similarity: typeof near.similarity === "number" ? near.similarity : undefined,
      };
    });
  }

  async contribute(photo: Blob, label: string, _answer: Answer): Promise<Contribution> {
    const form = new FormData();
    form.append("label", label);
    form.append("consent", "true");
    if (this.model) form.append("model", this.model);
    form.append("photo", await this.fit(photo), "photo");
    const json = await ask("./v1/contributions", { method: "POST", body: form });
    return { code: asText(json.code), label, when: new Date().toISOString(), deletedOn: asText(json.expires) || undefined };
  }

  async withdraw(code: string): Promise<Withdrawal> {
    try {
      const json = await ask(`./v1/contributions/${encodeURIComponent(code)}`, { method: "DELETE" });
      return { found: json.removed !== false, known: true, uses: asList(json.uses).map((use) => asText(asObject(use).name)).filter(Boolean) };
    } catch (error) {
      if (error instanceof Failure && error.reason === "no_such_code") return { found: false, known: false, uses: [] };
      throw error;
    }
  }

  private fit(photo: Blob): Promise<Blob> {
    const known = this.sent.get(photo) ?? fitToSend(photo);
    this.sent.set(photo, known);
    return known;
  }

  private address(route: string, query: Record<string, string>): string {
    const words = new URLSearchParams(query);
    if (this.model) words.set("model", this.model);
    return `./v1/${route}?${words}`;
  }

  private headers(body: Blob) {
    return { "Content-Type": body.type || "application/octet-stream" };
  }
}
