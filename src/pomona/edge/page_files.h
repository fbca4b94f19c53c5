// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace pomona {

// A file of the page made from web/app at build time; it lives as long as the program.
struct PageFile {
  std::string_view name;  // below the page's address: "index.html", "runtime/ort-cpu.wasm"
  std::string_view type;  // "text/html; charset=utf-8"
  std::string_view hash;  // hexadecimal, of the plain bytes
  std::string_view body;  // empty for the large ones: they are there as brotli only
  std::string_view gzip;  // empty where it would gain nothing
  std::string_view brotli;
  std::size_t size;  // bytes once unpacked
  bool edge_only;    // a server that answers by itself need not hand it out
};

// All of them, by name. "config.json" is that of a page whose server answers, and "catalogue.json" the
// starter catalogue: a server puts its own in their place. Names stay the same from build to build: caches
// must ask.
std::span<const PageFile> page_files();

// The one called `name`, else null.
const PageFile* find_page_file(std::string_view name);

}  // namespace pomona
