// SPDX-License-Identifier: Apache-2.0
// Makes the page: `node build.mjs [OUT]` (OUT: dist) writes
//   OUT/made/             what a server or `pomona export --web` hands out: page, scripts, icons; edge-* and runtime/
//                         (onnxruntime-web's WebAssembly) are for edge mode only
//   OUT/files.S, files.cc every one of these for the C++ side, plain, gzip and brotli; the large ones as brotli only
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzipSync } from "node:zlib";
import { build } from "vite";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist");
const made = join(out, "made");
const target = ["es2022", "chrome100", "firefox113", "safari16.4"];

await rm(made, { recursive: true, force: true });
const names = { entryFileNames: "[name].js", chunkFileNames: "edge-[name].js", assetFileNames: "[name][extname]" };
await build({
  root: here,
  base: "./",
  configFile: false,
  logLevel: "error",
  publicDir: join(here, "public"),
  build: { outDir: made, target, emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 4096,
    rollupOptions: { output: names } },
  worker: { format: "es", rollupOptions: { output: { ...names, entryFileNames: "edge-[name].js" } } },
});

// onnxruntime-web's own WebAssembly is handed to it by the worker; what the bundler put out goes.
const runtimes = { "ort-cpu.wasm": "ort-wasm-simd-threaded.wasm", "ort-webgpu.wasm": "ort-wasm-simd-threaded.asyncify.wasm" };
for (const name of await readdir(made)) {
  if (name.endsWith(".wasm")) await rm(join(made, name));
}
await mkdir(join(made, "runtime"));
for (const [name, from] of Object.entries(runtimes)) {
  await copyFile(join(here, "node_modules/onnxruntime-web/dist", from), join(made, "runtime", name));
}
// The plain page is that of a server; `pomona export` writes its own config.json.
await writeFile(join(made, "config.json"), JSON.stringify({ mode: "server", contributions: true, similar: true, retention_days: 14 }) + "\n");
await copyFile(join(here, "../catalogue/catalogue.json"), join(made, "catalogue.json"));

const isEdge = (name) => name.startsWith("edge-") || name.startsWith("runtime/");
const list = async () => (await readdir(made, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile()).map((entry) => relative(made, join(entry.parentPath, entry.name))).sort();

// The service worker keeps the shell by a name that changes with any of its files.
const owned = new Set(["config.json", "catalogue.json"]);
const shell = (await list()).filter((name) => !isEdge(name) && !owned.has(name));
const scripts = (await list()).filter((name) => name.startsWith("edge-"));
const hash = createHash("sha256");
for (const name of await list()) hash.update(name).update(await readFile(join(made, name)));
const version = hash.digest("hex").slice(0, 16);
await build({
  root: here,
  configFile: false,
  logLevel: "error",
  publicDir: false,
  define: { VERSION: JSON.stringify(version), SHELL: JSON.stringify(shell), EDGE: JSON.stringify(scripts) },
  build: { outDir: made, target, emptyOutDir: false, lib: { entry: join(here, "src/sw.ts"), formats: ["es"], fileName: () => "sw.js" } },
});

const types = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", txt: "text/plain; charset=utf-8", svg: "image/svg+xml",
  png: "image/png", json: "application/json", webmanifest: "application/manifest+json", wasm: "application/wasm" };
const brotli = promisify(brotliCompress);
// The last tenth of brotli's gain on 40 MB would cost two minutes of every build.
const packed = (bytes, quality) => brotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: 24,
  [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
const quoted = (text) => JSON.stringify(text);
let assembly = "// Made by web/app/build.mjs; do not edit.\n    .section .rodata\n";
let declarations = "";
let entries = "";
let index = 0;
await rm(join(out, "packed"), { recursive: true, force: true });
await mkdir(join(out, "packed"), { recursive: true });
async function stored(bytes) {
  const symbol = `pomona_page_${index++}`;
  const file = join(out, "packed", symbol);
  await writeFile(file, bytes);
  assembly += `    .globl ${symbol}\n    .globl ${symbol}_end\n    .balign 16\n${symbol}:\n    .incbin ${quoted(file)}\n${symbol}_end:\n    .byte 0\n`;
  declarations += `extern const char ${symbol}[];\nextern const char ${symbol}_end[];\n`;
  return `between(${symbol}, ${symbol}_end)`;
}
for (const name of await list()) {
  const bytes = await readFile(join(made, name));
  const ending = name.slice(name.lastIndexOf(".") + 1);
  const large = ending === "wasm";
  const body = large ? "{}" : await stored(bytes);
  const gzip = large || ending === "png" ? "{}" : await stored(gzipSync(bytes, { level: 9 }));
  const small = ending === "png" ? "{}" : await stored(await packed(bytes, large ? 9 : 11));
  const etag = createHash("sha256").update(bytes).digest("hex").slice(0, 24);
  entries += `      {${quoted(name)}, ${quoted(types[ending])}, ${quoted(etag)}, ${body}, ${gzip}, ${small}, ${bytes.length}, ${isEdge(name)}},\n`;
}
assembly += '    .section .note.GNU-stack,"",%progbits\n';
const source = `// Made by web/app/build.mjs; do not edit.
#include "pomona/edge/page_files.h"

extern "C" {
${declarations}}

namespace pomona {
namespace {
std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}
}  // namespace

std::span<const PageFile> page_files() {
  static const PageFile files[] = {
${entries}  };
  return files;
}

}  // namespace pomona
`;
await writeFile(join(out, "files.S"), assembly);
await writeFile(join(out, "files.cc"), source);
console.log(`page ${version}: ${(await list()).length} files`);
