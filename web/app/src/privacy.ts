// SPDX-License-Identifier: Apache-2.0
// The privacy notice: what for, where, how long, which rights.

import { h } from "../../common/elements";
import { t } from "./text";

export interface PrivacyFacts {
  edge: boolean; // photos stay on the device
  days: number; // contributions are kept
  reduced: boolean; // a server may be asked with the reduced vector
  keeps: boolean; // the server takes contributions
}

export function privacyView({ edge, days, reduced, keeps }: PrivacyFacts): HTMLElement {
  const texts = t();
  const host = location.host;
  const part = (title: string, ...sentences: string[]) => [h("h3", {}, title), ...sentences.filter(Boolean).map((one) => h("p", {}, one))];
  const purpose = keeps ? texts.purposeServer : texts.purposeServerOnly;
  const howLong = keeps ? texts.howLongServer(days) : texts.howLongServerOnly;
  return h("div", { class: "privacy" },
    ...part(texts.purpose, edge ? texts.purposeEdge : purpose),
    ...part(texts.place, edge ? texts.placeEdge(host) : texts.placeServer(host), reduced ? texts.placeReduced : ""),
    ...part(texts.howLong, edge ? texts.howLongEdge : howLong),
    ...part(texts.rights, edge ? texts.rightsEdge : keeps ? texts.rightsText : texts.rightsServerOnly));
}
