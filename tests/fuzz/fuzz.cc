// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace pomona::fuzz {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path;

  Folder() {
    const fs::path memory = "/dev/shm";
    std::error_code error;
    const bool usable = ::access(memory.c_str(), W_OK | X_OK) == 0;
    std::string pattern =
        ((usable ? memory : fs::temp_directory_path(error)) / "pomona-fuzz-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) finding("no temporary folder");
    path = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

}  // namespace

void finding(const std::string& message) {
  std::fprintf(stderr, "finding: %s\n", message.c_str());
  std::abort();
}

const fs::path& scratch() {
  static const Folder folder;
  return folder.path;
}

fs::path write_scratch(const std::string& name, std::string_view bytes) {
  const fs::path file = scratch() / name;
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) finding("no room for scratch files: " + file.string());
  return file;
}

void clear_scratch() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(scratch(), ignored)) fs::remove_all(entry.path(), ignored);
}

}  // namespace pomona::fuzz
