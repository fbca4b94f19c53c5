// SPDX-License-Identifier: Apache-2.0
// Runs beside the page: decode, resize, network, PCA and classifier, one photo at a time.

import type { InferenceSession, Tensor } from "onnxruntime-common";
import { load } from "./assets";
import { decode } from "./decode";
import type { EdgeManifest, EdgeResult, FromWorker, ToWorker } from "./manifest";
import { Picture, resize } from "./resize";

type Runtime = typeof import("onnxruntime-web/wasm");

const post = (message: FromWorker) => self.postMessage(message);

class Engine {
  private constructor(private manifest: EdgeManifest, private runtime: Runtime, private session: InferenceSession) {}

  static async start(manifest: EdgeManifest, gpu: boolean, progress: (done: number, total: number) => void): Promise<Engine> {
    const wasm = gpu && manifest.webgpu ? manifest.webgpu : manifest.runtime;
    const total = wasm.gzip + manifest.model.gzip;
    const done = [0, 0];
    const read = (index: number, file: { bytes: number; gzip: number }) => (bytes: number) => {
      done[index] = (bytes / file.bytes) * file.gzip;
      progress(done[0] + done[1], total);
    };
    const [binary, model, runtime] = await Promise.all([
      load(wasm, read(0, wasm)),
      load(manifest.model, read(1, manifest.model)),
      gpu && manifest.webgpu ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"),
    ]);
    // Threads need headers that a plain static server does not send.
    runtime.env.wasm.numThreads = 1;
    runtime.env.wasm.wasmBinary = binary;
    runtime.env.logLevel = "error";
    const session = await runtime.InferenceSession.create(model, {
      executionProviders: [gpu && manifest.webgpu ? "webgpu" : "wasm"],
      graphOptimizationLevel: "all",
    });
    return new Engine(manifest, runtime as Runtime, session);
  }

  async pixels(photo: Blob): Promise<Picture> {
    const spec = this.manifest.preprocess;
    return resize(await decode(photo, spec.exif_orientation), spec.width, spec.height, spec.kernel, spec.fit);
  }

  async run(photo: Blob, everything: boolean): Promise<EdgeResult> {
    const begin = performance.now();
    const picture = await this.pixels(photo);
    const { targets, unknown, reduced } = this.manifest;
    const wanted = targets.map((target) => target.probabilities);
    if (unknown) wanted.push("distance");
    if (reduced) wanted.push("reduced");
    if (everything) wanted.push("features");
    const feeds = { [this.manifest.input.name]: this.tensor(picture) };
    const out = await this.session.run(feeds, wanted);
    const floats = (name: string) => (out[name] as Tensor).data as Float32Array;
    return {
      probabilities: targets.map((target) => floats(target.probabilities)),
      distance: unknown ? floats("distance")[0] : undefined,
      reduced: reduced ? floats("reduced") : undefined,
      features: everything ? floats("features") : undefined,
      pixels: everything ? picture.rgb : undefined,
      milliseconds: performance.now() - begin,
    };
  }

  private tensor({ width, height, rgb }: Picture): Tensor {
    const { mean, std, bgr } = this.manifest.preprocess;
    const last = this.manifest.input.channels_last;
    const count = width * height;
    const values = new Float32Array(count * 3);
    for (let c = 0; c < 3; ++c) {
      const from = bgr ? 2 - c : c;
      for (let i = 0; i < count; ++i) {
        values[last ? i * 3 + c : c * count + i] = (rgb[i * 3 + from] - mean[c]) / std[c];
      }
    }
    return new this.runtime.Tensor("float32", values, last ? [1, height, width, 3] : [1, 3, height, width]) as Tensor;
  }
}

let engine: Promise<Engine> | null = null;
let last: Promise<unknown> = Promise.resolve();

async function answer(message: ToWorker) {
  const { id } = message;
  const failed = (code: "not_a_photo" | "offline" | "broken" | "old_browser", error: unknown) =>
    post({ id, kind: "failed", code, detail: error instanceof Error ? error.message : String(error) });
  if (message.kind === "prepare") {
    if (!("OffscreenCanvas" in self) || !("WebAssembly" in self)) return failed("old_browser", "no OffscreenCanvas");
    engine = Engine.start(message.manifest, message.gpu, (done, total) => post({ id, kind: "progress", done, total }));
    try {
      await engine;
      post({ id, kind: "done" });
    } catch (error) {
      engine = null;
      failed(error instanceof TypeError ? "offline" : "broken", error);
    }
    return;
  }
  const ready = await engine;
  if (!ready) return failed("broken", "not prepared");
  try {
    post({ id, kind: "done", result: await ready.run(message.photo, message.kind === "features") });
  } catch (error) {
    failed(error instanceof DOMException ? "not_a_photo" : "broken", error);
  }
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  // One after the other: a session runs one photo at a time.
  last = last.then(() => answer(data));
};
