// SPDX-License-Identifier: Apache-2.0
// model.json, written by `pomona export --web`: what the folder holds and what the network wants to see.

import type { Fit, Kernel } from "./resize";

export interface EdgeFile {
  name: string; // below the page; NAME.gz and NAME.br stand beside it
  bytes: number;
  gzip: number; // bytes of NAME.gz
  sha256: string; // of the plain file
}

export interface EdgeManifest {
  version: number;
  name: string;
  model: EdgeFile;
  runtime: EdgeFile; // onnxruntime-web's WebAssembly
  webgpu?: EdgeFile; // the one that uses the graphics chip
  input: { name: string; channels_last: boolean };
  preprocess: {
    bgr: boolean;
    mean: [number, number, number];
    std: [number, number, number];
    width: number;
    height: number;
    kernel: Kernel;
    fit: Fit;
    exif_orientation: boolean;
  };
  targets: { name: string; labels: string[]; probabilities: string; confident_threshold: number }[];
  unknown?: { threshold: number };
  reduced: number; // components; 0 = none
  server?: string; // origin of a Pomona server that may be asked with the reduced vector
  server_model?: string;
}

// Between the page and the worker.
export type ToWorker =
  | { id: number; kind: "prepare"; manifest: EdgeManifest; gpu: boolean }
  | { id: number; kind: "classify"; photo: Blob }
  // For tests and benchmarks: the picture as the network sees it, and its features.
  | { id: number; kind: "features"; photo: Blob };

export type FromWorker =
  | { id: number; kind: "progress"; done: number; total: number }
  | { id: number; kind: "done"; result?: EdgeResult }
  | { id: number; kind: "failed"; code: "not_a_photo" | "offline" | "broken" | "old_browser"; detail: string };

export interface EdgeResult {
  probabilities: Float32Array[]; // per target
  distance?: number;
  reduced?: Float32Array;
  features?: Float32Array;
  pixels?: Uint8Array;
  milliseconds: number;
}
