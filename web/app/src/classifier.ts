// SPDX-License-Identifier: Apache-2.0
// What the page asks of whoever tells fruits apart: a server (server.ts) or this very device (edge/edge.ts).

export interface Candidate {
  label: string;
  probability: number; // 0 to 1
}

// One thing told about a photo: variety, ripeness, ...
export interface TargetAnswer extends Candidate {
  name: string;
  confident: boolean;
  top: Candidate[]; // best first; the first is the answer itself
}

export interface Answer {
  targets: TargetAnswer[];
  unknown: boolean; // unlike anything in training
  distance?: number; // to what training knew
  // Edge only: the photo as a few numbers, and how many bytes they are.
  reduced?: Float32Array;
}

export interface SimilarPhoto {
  label?: string;
  picture?: string; // address or data: URI
  similarity?: number; // 0 to 1
}

export interface Contribution {
  code: string; // deletes it
  label: string;
  when: string; // ISO date
  deletedOn?: string; // ISO date: when the server deletes it by itself
}

export interface Withdrawal {
  found: boolean; // false: no photo has this code (any more)
  known: boolean; // whether the code is one that was given out, as far as is still known
  uses: string[]; // datasets and models that were made with the photo before
}

export interface ModelInfo {
  name: string; // as asked for
  title: string; // for people
  labels: string[]; // of the first target
}

// Reading progress of what must be there before the first answer, in bytes on the wire.
export type Progress = (done: number, total: number) => void;

export interface Classifier {
  // False: photos stay on this device.
  readonly sendsPhotos: boolean;
  // Gets ready: loads a network, or asks a server what it has. Throws Failure.
  prepare(progress: Progress): Promise<void>;
  // What can be asked; one of them is in use.
  models(): ModelInfo[];
  use(model: string): void;
  // Throws Failure.
  classify(photo: Blob, signal: AbortSignal): Promise<Answer>;
  // Photos like this one; none where nobody keeps any.
  similar(photo: Blob, signal: AbortSignal): Promise<SimilarPhoto[]>;
  // Whether photos can be given to those who teach the model.
  readonly contributions: boolean;
  contribute(photo: Blob, label: string, answer: Answer): Promise<Contribution>;
  withdraw(code: string): Promise<Withdrawal>;
}

// What went wrong, as a code the page has a sentence for; `detail` is the server's own sentence,
// `reason` its word for it.
export class Failure extends Error {
  constructor(readonly code: FailureCode, readonly detail = "", readonly reason = "") {
    super(detail || code);
  }
}
export type FailureCode = "offline" | "busy" | "full" | "too_large" | "not_a_photo" | "not_allowed" | "refused" | "broken" | "old_browser";
