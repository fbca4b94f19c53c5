// SPDX-License-Identifier: Apache-2.0
// Archives of photos. Input: a byte of choices, the archive.
#include <fstream>

#include "fuzz.h"
#include "pomona/samples/unpack.h"

using namespace pomona;
namespace fs = std::filesystem;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t choices = input.byte();
  fuzz::clear_scratch();
  const fs::path archive = fuzz::write_scratch("archive", input.text());
  const fs::path inside = fuzz::scratch() / "inside";
  fs::create_directory(inside);
  UnpackOptions options;
  options.strip = choices % 3;
  options.max_bytes = 1 << 20;
  options.max_members = 200;
  const bool taken = fuzz::accepts([&] { unpack_archive(archive, inside / "photos", options, {}); });
  fuzz::require(taken == fs::exists(inside / "photos"), "a folder that is neither whole nor absent");
  std::size_t beside = 0;
  for (const auto& entry : fs::directory_iterator(fuzz::scratch())) beside += entry.exists() ? 1 : 0;
  fuzz::require(beside == 2, "something was written outside the folder");
  if (!taken) return 0;
  std::uintmax_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(inside)) {
    fuzz::require(!entry.is_symlink(), "a link was made");
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  fuzz::require(bytes <= options.max_bytes, "more was unpacked than is allowed");
  return 0;
}
