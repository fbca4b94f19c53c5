// SPDX-License-Identifier: Apache-2.0
// Makes the report's template: one HTML file with styles and script inside, cut at the place of the data, as
// C++ source. `node build.mjs [OUT]` writes OUT/template.html and OUT/report_template.cc (OUT: dist).
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist");

async function bundle(entry) {
  const result = await build({
    entryPoints: [join(here, "src", entry)],
    bundle: true,
    minify: true,
    write: false,
    target: ["es2020", "chrome100", "firefox100", "safari15"],
    charset: "ascii",
    format: "iife",
    legalComments: "none",
  });
  return result.outputFiles[0].text.trim();
}

const script = (await bundle("main.ts")).replaceAll("</", "<\\/");
const style = (await bundle("style.css")).replaceAll("</", "<\\/");
const template = await readFile(join(here, "src", "template.html"), "utf8");

// Only this script may run, and nothing may be fetched: a report is the same on a plane.
const hash = createHash("sha256").update(script).digest("base64");
const policy = `default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`;
const page = template
  .replace("@POLICY@", () => policy)
  .replace("@STYLE@", () => style)
  .replace("@SCRIPT@", () => script);

// String literals of C++ may be limited to 64 KiB: many short ones, joined by the compiler, may not.
function pieces(text) {
  const bytes = Buffer.from(text, "utf8");
  const found = [];
  for (let at = 0; at < bytes.length; at += 8192) {
    let literal = "";
    for (const byte of bytes.subarray(at, at + 8192)) {
      const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f;
      literal += plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
    }
    found.push(`    "${literal}"`);
  }
  return found.join(",\n");
}

const source = `// Made by web/report/build.mjs; do not edit.
#include "pomona/report/template.h"

namespace pomona {
namespace {
constexpr std::string_view kPieces[] = {
${pieces(page)}};
}  // namespace

std::span<const std::string_view> report_template() { return kPieces; }

}  // namespace pomona
`;
await mkdir(out, { recursive: true });
await writeFile(join(out, "template.html"), page);
await writeFile(join(out, "report_template.cc"), source);
console.log(`template.html: ${page.length} bytes`);
