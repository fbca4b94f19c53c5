// SPDX-License-Identifier: Apache-2.0
// This device as classifier. Photos go to a worker of the page and nowhere else.

import { Answer, Candidate, Classifier, Contribution, Failure, ModelInfo, Progress, SimilarPhoto, Withdrawal } from "../classifier";
import { ask, readAnswer } from "../server";
import type { EdgeManifest, EdgeResult, FromWorker, ToWorker } from "./manifest";

type Unsent = ToWorker extends infer M ? (M extends ToWorker ? Omit<M, "id"> : never) : never;

export class EdgeClassifier implements Classifier {
  readonly sendsPhotos = false;
  readonly contributions = false;
  manifest!: EdgeManifest;
  // Whether the server named in model.json decides, from the reduced vector.
  serverDecides = false;
  milliseconds = 0; // of the last photo
  graphics = false; // whether this device has a graphics chip to offer
  private worker: Worker | null = null;
  private next = 0;
  private waiting = new Map<number, { done: (result?: EdgeResult) => void; failed: (error: Failure) => void; progress?: Progress }>();

  async prepare(progress: Progress) {
    const response = await fetch("./model.json").catch(() => { throw new Failure("offline"); });
    if (!response.ok) throw new Failure("broken", "model.json is not there");
    this.manifest = await response.json() as EdgeManifest;
    // A page that was kept by the browser beside a folder that a newer export wrote.
    if (this.manifest.version !== 1) throw new Failure("broken", "model.json is of another version than this page: reload it");
    const gpu = (navigator as { gpu?: { requestAdapter(): Promise<unknown> } }).gpu;
    this.graphics = Boolean(this.manifest.webgpu && await gpu?.requestAdapter().catch(() => null));
    await this.start(false, progress);
  }

  // Changes between the processor and the graphics chip. The one in use stays where the other cannot start.
  async useGraphics(gpu: boolean, progress: Progress) {
    const before = this.worker;
    this.worker = null;
    try {
      await this.start(gpu, progress);
      before?.terminate();
    } catch (error) {
      (this.worker as Worker | null)?.terminate();
      this.worker = before;
      throw error;
    }
  }

  models(): ModelInfo[] {
    return [{ name: this.manifest.name, title: this.manifest.name, labels: this.manifest.targets[0].labels }];
  }

  use() { /* There is one. */ }

  async classify(photo: Blob, signal: AbortSignal): Promise<Answer> {
    const result = (await this.send({ kind: "classify", photo }))!;
    signal.throwIfAborted();
    this.milliseconds = result.milliseconds;
    const answer = this.judge(result);
    if (!this.serverDecides || !this.manifest.server || !result.reduced) return answer;
    const model = this.manifest.server_model ? `?model=${encodeURIComponent(this.manifest.server_model)}` : "";
    const json = await ask(new URL(`v1/reduced${model}`, this.manifest.server).href, {
      method: "POST", body: result.reduced.slice().buffer, signal, credentials: "omit",
      headers: { "Content-Type": "application/octet-stream" },
    });
    const list = Array.isArray(json.photos) ? json.photos : [json];
    const decided = readAnswer(list[0]);
    // Whether the photo is like those of training may need the features, which only this device has.
    return { ...decided, unknown: decided.unknown || answer.unknown, distance: answer.distance, reduced: result.reduced };
  }

  // Features and pixels as the network sees them, and this device's answer: `pomona.classifier.features(blob)` in the
  // console, for tests and benchmarks.
  async features(photo: Blob): Promise<EdgeResult & { answer: Answer }> {
    const result = (await this.send({ kind: "features", photo }))!;
    return { ...result, answer: this.judge(result) };
  }

  async similar(): Promise<SimilarPhoto[]> {
    return [];
  }

  async contribute(): Promise<Contribution> {
    throw new Failure("refused");
  }

  async withdraw(): Promise<Withdrawal> {
    return { found: false, known: false, uses: [] };
  }

  private async start(gpu: boolean, progress: Progress) {
    this.worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.hear(data);
    this.worker.onerror = () => {
      for (const { failed } of this.waiting.values()) failed(new Failure("broken", "the worker stopped"));
      this.waiting.clear();
    };
    await this.send({ kind: "prepare", manifest: this.manifest, gpu }, progress);
  }

  private send(message: Unsent, progress?: Progress): Promise<EdgeResult | undefined> {
    const id = ++this.next;
    return new Promise((done, failed) => {
      this.waiting.set(id, { done, failed, progress });
      this.worker!.postMessage({ ...message, id });
    });
  }

  private hear(message: FromWorker) {
    const waiting = this.waiting.get(message.id);
    if (!waiting) return;
    if (message.kind === "progress") {
      waiting.progress?.(message.done, message.total);
      return;
    }
    this.waiting.delete(message.id);
    if (message.kind === "done") waiting.done(message.result);
    else waiting.failed(new Failure(message.code, message.detail));
  }

  private judge(result: EdgeResult): Answer {
    const threshold = this.manifest.unknown?.threshold;
    // Written so that a distance that is no number counts as unknown.
    const unknown = threshold !== undefined && !((result.distance ?? NaN) <= threshold);
    return {
      unknown,
      distance: result.distance,
      reduced: result.reduced,
      targets: this.manifest.targets.map((target, i) => {
        const top = [...result.probabilities[i]].map((probability, c): Candidate => ({ label: target.labels[c], probability }))
          .sort((a, b) => b.probability - a.probability).slice(0, 4);
        return { ...top[0], name: target.name, confident: !unknown && top[0].probability >= target.confident_threshold, top };
      }),
    };
  }
}
