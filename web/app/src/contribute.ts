// SPDX-License-Identifier: Apache-2.0
// Asking the person: label, consent, deletion code; and the list of what this device has sent.

import { h } from "../../common/elements";
import type { Catalogue } from "./catalogue";
import { Answer, Classifier, Contribution, Failure } from "./classifier";
import { announce, icon } from "./dom";
import { day, t } from "./text";

const kStore = "pomona.contributions";
const kLongestLabel = 200; // bytes, that a server takes

export function remembered(): Contribution[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(kStore) ?? "[]");
    return Array.isArray(list) ? list.filter((one) => typeof one?.code === "string" && typeof one?.label === "string") : [];
  } catch {
    return [];
  }
}

function remember(list: Contribution[]) {
  try {
    localStorage.setItem(kStore, JSON.stringify(list));
  } catch { /* Storage is off: the code on the page is all there is. */ }
}

export const sentence = (error: unknown): string => {
  if (!(error instanceof Failure)) return t().broken;
  // The server's own sentence says more where it refuses.
  return error.code === "refused" && error.detail ? `${t().refused} ${error.detail}` : t()[error.code];
};

// `open`: asked at once, as after an unsure answer; else behind "That is wrong".
export function askView(catalogue: Catalogue, classifier: Classifier, labels: string[], days: number, photo: Blob, answer: Answer,
                        open: boolean, changed: () => void): HTMLElement {
  const texts = t();
  const options = h("datalist", { id: "labels" }, ...[...labels].map((label) => catalogue.name(label))
    .sort((a, b) => a.localeCompare(b)).map((name) => h("option", { value: name })));
  const label = h("input", { id: "own-label", list: "labels", autocomplete: "off", maxlength: 100, required: true, "aria-describedby": "own-hint form-error" });
  const consent = h("input", { type: "checkbox", id: "consent", required: true, "aria-describedby": "form-error" });
  const error = h("p", { class: "error", id: "form-error", role: "alert" });
  const send = h("button", { type: "submit", class: "main" }, texts.give);
  const form = h("form", { novalidate: true },
    h("p", {}, texts.askText),
    h("label", { for: "own-label" }, texts.askLabel), label, options, h("p", { class: "quiet", id: "own-hint" }, texts.askHint),
    h("div", { class: "tick" }, consent, h("label", { for: "consent" }, texts.consent(days))),
    error, send);
  const title = h("h3", { id: "ask-title" }, texts.askTitle);
  const body = h("section", { class: "card ask", "aria-labelledby": "ask-title" }, title, form);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wrong = (field: HTMLElement, text: string) => {
      error.textContent = text;
      field.setAttribute("aria-invalid", "true");
      field.focus();
    };
    label.removeAttribute("aria-invalid");
    consent.removeAttribute("aria-invalid");
    if (!label.value.trim()) return wrong(label, texts.needLabel);
    if (new TextEncoder().encode(label.value).length > kLongestLabel) return wrong(label, texts.tooLong);
    if (!consent.checked) return wrong(consent, texts.needConsent);
    error.textContent = "";
    send.disabled = true;
    send.textContent = texts.giving;
    try {
      const sent = await classifier.contribute(photo, catalogue.label(label.value, labels), answer);
      remember([sent, ...remembered()]);
      const thanks = h("h3", { tabindex: -1 }, texts.given);
      body.replaceChildren(thanks, h("p", {}, texts.givenText), h("p", {}, h("code", { class: "code" }, sent.code)));
      thanks.focus();
      changed();
    } catch (problem) {
      error.textContent = sentence(problem);
      send.disabled = false;
      send.textContent = texts.give;
    }
  });
  if (open) return body;
  const opener = h("button", { type: "button", class: "plain", click: () => {
    opener.replaceWith(body);
    label.focus();
  } }, texts.wrong);
  return opener;
}

// The list, with a button for each, and a field for a code from elsewhere.
export function mineView(catalogue: Catalogue, classifier: Classifier, changed: () => void): HTMLElement {
  const texts = t();
  const list = remembered();
  const error = h("p", { class: "error", role: "alert" });
  const view = h("div", { class: "mine" });
  const withdraw = async (code: string, label: string, button: HTMLButtonElement) => {
    button.disabled = true;
    error.textContent = "";
    try {
      const { found, known, uses } = await classifier.withdraw(code);
      // Somebody who mistyped a code must not go away in the belief that the photo is gone.
      if (!known && !label) {
        error.textContent = t().noSuchCode;
        button.disabled = false;
        return;
      }
      remember(remembered().filter((one) => one.code !== code));
      const name = label || code;
      const fresh = mineView(catalogue, classifier, changed);
      view.replaceWith(fresh);
      const said = found ? t().removed(name) : t().removedAlready(name);
      announce(said);
      fresh.prepend(h("p", { class: "done", tabindex: -1 }, said, uses.length ? ` ${t().usedIn(uses.join(", "))}` : null));
      (fresh.firstElementChild as HTMLElement).focus();
      changed();
    } catch (problem) {
      error.textContent = sentence(problem);
      button.disabled = false;
    }
  };
  if (list.length === 0) view.append(h("p", {}, texts.mineNone));
  else {
    view.append(h("p", {}, texts.mineText), h("ul", {}, ...list.map((one) => {
      const name = catalogue.name(one.label);
      const button: HTMLButtonElement = h("button", { type: "button", class: "plain", "aria-label": texts.removeOne(name),
        click: () => void withdraw(one.code, name, button) }, icon("trash"), texts.remove);
      return h("li", {}, h("div", {}, h("strong", {}, name), h("span", { class: "quiet" }, texts.mineSent(day(one.when))),
        h("span", { class: "quiet" }, `${texts.code} `, h("code", {}, one.code))), button);
    })));
  }
  const code = h("input", { id: "own-code", autocomplete: "off", spellcheck: "false", maxlength: 100, "aria-describedby": "code-hint" });
  const button = h("button", { type: "submit", class: "plain" }, texts.remove);
  view.append(h("form", { submit: (event) => {
    event.preventDefault();
    if (code.value.trim()) void withdraw(code.value.trim(), "", button);
  } }, h("label", { for: "own-code" }, texts.byCode), h("div", { class: "line" }, code, button), h("p", { class: "quiet", id: "code-hint" }, texts.byCodeHint)), error);
  return view;
}
