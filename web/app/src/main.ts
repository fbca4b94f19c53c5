// SPDX-License-Identifier: Apache-2.0
// The page: choose a photo, see the answer. config.json says whether a server answers or this device.

import { h } from "../../common/elements";
import { answerView, factsView, similarView, surety } from "./answer";
import { Catalogue } from "./catalogue";
import { Answer, Classifier, Failure, SimilarPhoto } from "./classifier";
import { askView, mineView, remembered, sentence } from "./contribute";
import { announce, icon } from "./dom";
import type { EdgeClassifier } from "./edge/edge";
import { privacyView } from "./privacy";
import { ServerClassifier } from "./server";
import { bytes, language, languages, number, setLanguage, t } from "./text";

interface Config {
  mode: "server" | "edge";
  contributions: boolean;
  similar: boolean;
  retention_days: number;
}

async function readConfig(): Promise<Config> {
  const usual: Config = { mode: "server", contributions: false, similar: false, retention_days: 14 };
  const answer = await fetch("./config.json").catch(() => null);
  return answer?.ok ? { ...usual, ...(await answer.json()) } : usual;
}

const top = document.getElementById("top")!;
const main = document.getElementById("main")!;
const foot = document.getElementById("foot")!;
const phone = matchMedia("(pointer: coarse)");

class Page {
  private photo: Blob | null = null;
  private preview = "";
  private answer: Answer | null = null;
  private alike: SimilarPhoto[] = [];
  private failure: { error: unknown; again: () => void } | null = null;
  private busy: AbortController | null = null;
  private prepared = false;
  private edge: EdgeClassifier | null = null;
  private gpu = false;

  constructor(private config: Config, private classifier: Classifier, private catalogue: Catalogue) {
    if (config.mode === "edge") this.edge = classifier as EdgeClassifier;
    addEventListener("dragover", (event) => {
      event.preventDefault();
      document.documentElement.classList.add("dropping");
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.documentElement.classList.remove("dropping");
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.documentElement.classList.remove("dropping");
      this.take(event.dataTransfer?.files[0]);
    });
    addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
      if (file) this.take(file);
    });
  }

  async start() {
    this.frame();
    await this.prepare();
  }

  private async prepare() {
    this.home();
    const note = main.querySelector<HTMLElement>(".loading");
    const track = note?.querySelector<HTMLElement>("i");
    if (this.edge) announce(t().loading);
    try {
      await this.classifier.prepare((done, total) => {
        if (!note || !track) return;
        track.style.width = `${(done / total) * 100}%`;
        note.querySelector("span")!.textContent = t().loadingPart(bytes(Math.min(done, total)), bytes(total));
      });
      this.prepared = true;
      if (this.edge) announce(t().ready);
      if (!this.photo) this.home();
    } catch (error) {
      this.failed(error, () => void this.prepare());
    }
    document.documentElement.dataset.ready = String(this.prepared);
  }

  // Everything around the content, in the language at hand.
  private frame() {
    document.documentElement.lang = language();
    document.title = `Pomona · ${t().title}`;
    document.querySelector(".skip")!.textContent = t().skip;
    const choice = h("select", { "aria-label": "Language · Langue", change: () => {
      setLanguage(choice.value);
      this.frame();
      this.show();
      top.querySelector("select")?.focus();
    } }, ...Object.entries(languages).map(([tag, texts]) => h("option", { value: tag, lang: tag, selected: tag === language() }, texts.language)));
    top.replaceChildren(h("a", { class: "brand", href: "./", click: (event) => {
      event.preventDefault();
      this.clear();
    } }, h("span", { class: "logo", "aria-hidden": "true" }), "Pomona"), choice);
    foot.replaceChildren(
      this.classifier.contributions ? h("button", { type: "button", class: "link", id: "mine", click: () => this.mine() }, this.mineTitle()) : "",
      h("button", { type: "button", class: "link", id: "privacy", click: () => this.privacy() }, t().privacy),
      h("a", { class: "link", id: "licences", href: "./licences.txt" }, t().licences),
      h("span", {}, t().madeBy));
  }

  private mineTitle() {
    const count = remembered().length;
    return count ? `${t().mine} (${number(count)})` : t().mine;
  }

  private pickers(): HTMLElement {
    const picker = (camera: boolean) => {
      const input = h("input", { type: "file", accept: "image/*", capture: camera ? "environment" : undefined, hidden: true,
        "data-picker": camera ? "camera" : "file", change: () => {
          this.take(input.files?.[0]);
          input.value = "";
        } });
      return input;
    };
    const camera = picker(true);
    const file = picker(false);
    const button = (input: HTMLInputElement, drawing: "camera" | "picture", text: string, style: string) =>
      h("button", { type: "button", class: style, click: () => input.click() }, icon(drawing), text);
    // A desk has no camera to hold: one button is enough there.
    return h("div", { class: "pickers" }, camera, file,
      phone.matches ? button(camera, "camera", t().take, "main") : null,
      button(file, "picture", t().choose, phone.matches ? "second" : "main"));
  }

  private modelChoice(): HTMLElement | null {
    const models = this.classifier.models();
    if (models.length < 2) return null;
    const choice = h("select", { id: "model", change: () => {
      this.classifier.use(choice.value);
      if (this.photo) void this.look();
    } }, ...models.map((model, i) => h("option", { value: model.name, selected: i === 0 }, model.title)));
    return h("p", { class: "line" }, h("label", { for: "model" }, t().model), choice);
  }

  private home() {
    const texts = t();
    this.failure = null;
    main.className = "home";
    main.replaceChildren(
      h("h1", {}, texts.title), h("p", { class: "lead" }, texts.lead),
      h("div", { class: "target" }, h("span", { class: "fruit", "aria-hidden": "true" }), this.pickers(),
        phone.matches ? "" : h("p", { class: "quiet" }, texts.drop)),
      this.prepared || !this.edge ? "" : h("div", { class: "loading" }, h("span", {}, `${texts.loading}…`),
        h("div", { class: "bar", "aria-hidden": "true" }, h("i"))),
      (this.prepared && this.modelChoice()) || "",
      this.prepared ? this.edgeChoices() : "",
      h("p", { class: "promise" }, icon("lock"), this.classifier.sendsPhotos ? texts.isSent : texts.staysHere));
  }

  // What the edge page may be told to do otherwise.
  private edgeChoices(): HTMLElement | "" {
    const edge = this.edge;
    if (!edge) return "";
    const { manifest } = edge;
    const texts = t();
    const tick = (id: string, on: boolean, title: string, text: string, change: (box: HTMLInputElement) => void) => {
      const box: HTMLInputElement = h("input", { type: "checkbox", id, checked: on, change: () => change(box) });
      return h("div", { class: "tick" }, box, h("label", { for: id }, h("strong", {}, title), h("span", { class: "quiet" }, text)));
    };
    const choices = h("div", { class: "choices" });
    if (manifest.server && manifest.reduced) {
      choices.append(tick("reduced", edge.serverDecides, texts.reduced, texts.reducedText(bytes(manifest.reduced * 4)),
        (box) => { edge.serverDecides = box.checked; }));
    }
    if (manifest.webgpu && edge.graphics) {
      choices.append(tick("gpu", this.gpu, texts.faster, texts.fasterText(bytes(manifest.webgpu.gzip)), (box) => {
        box.disabled = true;
        announce(texts.loading);
        edge.useGraphics(box.checked, () => undefined).then(() => {
          this.gpu = box.checked;
          announce(texts.ready);
        }, (error) => {
          box.checked = this.gpu;
          announce(sentence(error));
        }).finally(() => { box.disabled = false; });
      }));
    }
    return choices.childElementCount ? choices : "";
  }

  private clear() {
    this.busy?.abort();
    if (this.preview) URL.revokeObjectURL(this.preview);
    this.photo = null;
    this.answer = null;
    this.preview = "";
    this.home();
    main.focus();
  }

  private take(file: File | undefined) {
    if (!file) return;
    if (this.preview) URL.revokeObjectURL(this.preview);
    this.photo = file;
    this.preview = URL.createObjectURL(file);
    void this.look();
  }

  private figure(): HTMLElement {
    const picture = h("img", { src: this.preview, alt: t().yourPhoto });
    picture.addEventListener("error", () => picture.replaceWith(h("p", { class: "quiet" }, t().noPreview)));
    return h("figure", { class: "photo" }, picture);
  }

  private async look() {
    const photo = this.photo!;
    this.busy?.abort();
    const busy = this.busy = new AbortController();
    this.answer = null;
    this.alike = [];
    this.failure = null;
    this.looking();
    announce(t().looking);
    try {
      const answer = await this.classifier.classify(photo, busy.signal);
      if (busy.signal.aborted) return;
      this.answer = answer;
      this.show();
      main.querySelector<HTMLElement>("#answer-name")?.focus();
      announce("");
    } catch (error) {
      if (!busy.signal.aborted) this.failed(error, () => void this.look());
      return;
    }
    // The answer does not wait for these, and stands without them.
    const similar = await this.classifier.similar(photo, busy.signal).catch(() => []);
    if (busy.signal.aborted || !this.answer) return;
    this.alike = similar;
    const view = similarView(this.catalogue, similar);
    if (view) main.querySelector(".side")?.append(view);
  }

  private looking() {
    main.className = "looking";
    main.replaceChildren(this.figure(), h("div", { class: "working" }, h("span", { class: "spinner", "aria-hidden": "true" }), h("p", {}, t().looking)));
  }

  // What is at hand, drawn anew.
  private show() {
    if (this.failure) return this.failed(this.failure.error, this.failure.again);
    if (!this.photo) return this.home();
    if (!this.answer) return this.looking();
    const answer = this.answer;
    const target = answer.targets[0];
    const sure = surety(answer, target);
    const labels = this.classifier.models()[0]?.labels ?? [];
    const note = this.edge ? (answer.reduced && this.edge.serverDecides
      ? t().reducedDone(bytes(answer.reduced.byteLength), bytes(this.photo.size)) : t().took(number(this.edge.milliseconds))) : "";
    const ask = this.classifier.contributions
      ? askView(this.catalogue, this.classifier, labels, this.config.retention_days, this.photo, answer,
        sure === "unsure" || sure === "unknown", () => this.frame()) : "";
    const facts = sure === "unknown" || sure === "unsure" ? null : factsView(this.catalogue, target.label);
    // Nothing that would fill a second column: no facts, no question, no similar photos.
    const lone = !facts && sure !== "unsure" && sure !== "unknown" && (this.edge !== null || !this.config.similar);
    main.className = lone ? "told lone" : "told";
    main.replaceChildren(
      h("h1", { class: "unseen" }, t().answer),
      h("div", { class: "said" }, this.figure(), answerView(this.catalogue, answer), this.pickers(),
        note ? h("p", { class: "quiet note" }, note) : ""),
      h("div", { class: "side" }, sure === "unsure" || sure === "unknown" ? ask : facts ?? "",
        sure === "unsure" || sure === "unknown" ? "" : ask, similarView(this.catalogue, this.alike) ?? ""));
  }

  private failed(error: unknown, again: () => void) {
    this.failure = { error, again };
    const heading = h("h1", { tabindex: -1 }, t().failed);
    const isNoPhoto = error instanceof Failure && (error.code === "not_a_photo" || error.code === "too_large");
    main.className = "failed";
    main.replaceChildren(heading, h("p", { class: "lead" }, sentence(error)),
      isNoPhoto ? this.pickers() : h("div", { class: "pickers" }, h("button", { type: "button", class: "main", click: again }, icon("again"), t().retry)));
    heading.focus();
  }

  private dialog(title: string, body: HTMLElement) {
    const close = () => dialog.close();
    const dialog: HTMLDialogElement = h("dialog", { "aria-labelledby": "dialog-title", close: () => dialog.remove() },
      h("header", {}, h("h2", { id: "dialog-title" }, title), h("button", { type: "button", class: "plain", click: close }, t().close)), body);
    dialog.addEventListener("click", (event) => { if (event.target === dialog) close(); });
    document.body.append(dialog);
    dialog.showModal();
  }

  private privacy() {
    const reduced = Boolean(this.edge?.manifest?.server && this.edge.manifest.reduced);
    this.dialog(t().privacy, privacyView({ edge: this.edge !== null, days: this.config.retention_days, reduced, keeps: this.classifier.contributions }));
  }

  private mine() {
    this.dialog(t().mine, mineView(this.catalogue, this.classifier, () => {
      const button = document.getElementById("mine");
      if (button) button.textContent = this.mineTitle();
    }));
  }
}

async function begin() {
  const [config, catalogue] = await Promise.all([readConfig(), Catalogue.load()]);
  const classifier: Classifier = config.mode === "edge"
    ? new (await import("./edge/edge")).EdgeClassifier() : new ServerClassifier(config);
  // For tests and benchmarks in a real browser.
  Object.defineProperty(window, "pomona", { value: { classifier } });
  const page = new Page(config, classifier, catalogue);
  if ("serviceWorker" in navigator) void navigator.serviceWorker.register("./sw.js").catch(() => undefined);
  await page.start();
}

begin().catch(() => {
  // config.json is not what it should be, or a script is missing.
  main.className = "failed";
  main.replaceChildren(h("h1", {}, t().failed), h("p", { class: "lead" }, t().broken),
    h("div", { class: "pickers" }, h("button", { type: "button", class: "main", click: () => location.reload() }, icon("again"), t().retry)));
});
