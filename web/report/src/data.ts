// SPDX-License-Identifier: Apache-2.0
// The report's data as render.cc writes it. Every part may be absent; `sections` lists what is there.

export interface Thumb { path: string; jpeg: string; w: number; h: number }
export interface Sizes { min: number; q1: number; median: number; q3: number; max: number }
export interface ClassInfo { name: string; train: number; test: number; sizes?: Sizes }
export interface Scatter {
  components: number; n: number; total: number; seed: number;
  values: string;               // u16, n x components, row-major: from `low` to `high` of the column
  low: number[]; high: number[];
  group?: string; cluster?: string;   // u16, 0xffff = none
  thumbnail?: string;                 // i32, -1 = none
}
export interface Metric { name: string; value: number; low?: number; high?: number }
export interface ClassMetrics { label: string; precision: number; recall: number; f1: number; support: number }
export interface StoragePoint {
  k: number;
  accuracy: { f32?: number; f16?: number; u8?: number };
  bytes: { f32: number; f16: number; u8: number };
}
export interface Report {
  sections: string[];
  title: string; subtitle: string; generated: string; version: string;
  warnings?: string[];
  thumbnails: Thumb[];
  run: {
    command: string; started: string; seconds: number;
    facts: [string, string][]; versions: [string, string][]; options: [string, string][];
  };
  timeline?: { stages: string[]; lanes: string[]; spans: [number, number, number, number][] };
  stageSeconds?: [string, number][];
  counts?: { listed: number; written: number; rejected: number };
  rejects?: { stage: string; reason: string; count: number; examples: string[] }[];
  spectrum?: number[];
  kept?: number;
  scatter?: Scatter;
  ends?: { index: number; share: number; low: number[]; high: number[] }[];
  classes?: ClassInfo[];
  split?: boolean;
  sizes?: Sizes;
  sample?: number[];
  sampleGroup?: number[];
  evaluation?: {
    classifier: string; photos: number; split: string; metrics: Metric[]; classes: string[];
    confusion?: string;         // u32, c x c, row = true
    perClass: ClassMetrics[];
  };
  mistakes?: { thumbnail: number; path: string; label: string; predicted: string; probability: number }[];
  mistakesTotal?: number;
  storage?: StoragePoint[];
  storageBasis?: { head: string; split: string; trained: number; judged: number; dimension: number };
  cost?: { what: string; amount: string; note: string }[];
  costNote?: string;
}

export function readReport(): Report {
  return JSON.parse(document.getElementById("report-data")!.textContent!) as Report;
}

function decode(base64: string): ArrayBuffer {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}
export const u16 = (base64: string) => new Uint16Array(decode(base64));
export const u32 = (base64: string) => new Uint32Array(decode(base64));
export const i32 = (base64: string) => new Int32Array(decode(base64));

export const NONE = 0xffff;
