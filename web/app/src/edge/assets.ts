// SPDX-License-Identifier: Apache-2.0
// Reads the large files of the edge folder: compressed on the wire whatever the server can do, checked, and kept
// in the browser's cache so that the page works offline.

import type { EdgeFile } from "./manifest";

const kCache = "pomona-edge";

const keyOf = (file: EdgeFile) => new Request(new URL(`${file.name}?${file.sha256}`, self.location.href));

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string | null> {
  // Only secure pages have this; others trust the wire, as they do for the page itself.
  if (!self.crypto?.subtle) return null;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Whether the server itself compresses this file. One that does not gets asked for the .gz beside it.
async function isCompressed(address: string): Promise<boolean> {
  const head = await fetch(address, { method: "HEAD", cache: "no-store" });
  return head.ok && /\b(br|gzip|zstd)\b/.test(head.headers.get("Content-Encoding") ?? "");
}

async function readAll(stream: ReadableStream<Uint8Array>, size: number, read: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const reader = stream.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > size) throw new Error("longer than model.json says");
    bytes.set(value, at);
    at += value.length;
    read(at);
  }
  if (at !== size) throw new Error("shorter than model.json says");
  return bytes;
}

// The plain bytes of `file`; `read` hears how many of them are there.
export async function load(file: EdgeFile, read: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const cache = "caches" in self ? await caches.open(kCache).catch(() => null) : null;
  const kept = await cache?.match(keyOf(file));
  if (kept) {
    const bytes = new Uint8Array(await kept.arrayBuffer());
    if (bytes.length === file.bytes) {
      read(bytes.length);
      return bytes;
    }
  }
  const address = new URL(file.name, self.location.href).href;
  const unpacks = "DecompressionStream" in self;
  const plain = !unpacks || (await isCompressed(address));
  let response = await fetch(plain ? address : `${address}.gz`);
  // A folder whose .gz files were left behind still works, only slower.
  const zipped = !plain && response.ok;
  if (!plain && !response.ok) response = await fetch(address);
  if (!response.ok || !response.body) throw new Error(`${file.name}: ${response.status}`);
  // Some servers say that a .gz file is an encoding; the browser has then unpacked it already.
  const unpack = zipped && !response.headers.get("Content-Encoding");
  const stream = unpack ? response.body.pipeThrough(new DecompressionStream("gzip")) : response.body;
  const bytes = await readAll(stream, file.bytes, read).catch((error: Error) => {
    throw new Error(`${file.name}: ${error.message}`);
  });
  const found = await sha256(bytes);
  if (found !== null && found !== file.sha256) throw new Error(`${file.name} is not the file that model.json names`);
  if (cache) {
    // Files of an older export go.
    for (const old of await cache.keys()) {
      if (new URL(old.url).pathname === new URL(address).pathname) await cache.delete(old);
    }
    await cache.put(keyOf(file), new Response(bytes)).catch(() => undefined);
  }
  return bytes;
}
