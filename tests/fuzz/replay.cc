// SPDX-License-Identifier: Apache-2.0
// A fuzz target without a fuzzer, for every compiler: runs the files it is given, then mutations of them, the
// same ones every time.
//   fuzz_NAME [-mutations=N] FILE|FOLDER...
// What fails ends the program; the input stands in ./finding-<target>.bin then.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz.h"

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

constexpr unsigned kSecondsPerInput = 20;            // more is a hang, on a busy machine too
constexpr rlim_t kMostMemory = rlim_t{2} << 30;      // bytes beside what the program takes to start
constexpr std::size_t kLongestMutation = 256 << 10;  // bytes

// For the signal handler: what runs now.
struct Current {
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;
  std::array<char, 512> file{};
};
Current current;  // NOLINT: a signal handler has no other way to it

void on_death(int number) {
  const int file = ::open(current.file.data(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file >= 0) {
    for (std::size_t done = 0; done < current.size;) {
      const ssize_t wrote = ::write(file, current.data + done, current.size - done);
      if (wrote <= 0) break;
      done += static_cast<std::size_t>(wrote);
    }
    static constexpr char kSaved[] = "a finding: its input was saved as ";
    static_cast<void>(!::write(2, kSaved, sizeof kSaved - 1));
    static_cast<void>(!::write(2, current.file.data(), std::strlen(current.file.data())));
    static_cast<void>(!::write(2, "\n", 1));
  }
  std::signal(number, SIG_DFL);
  std::raise(number);
}

// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }

 private:
  std::uint64_t state_;
};

void mutate(Bytes& bytes, const std::vector<Bytes>& others, Random& random) {
  static constexpr std::array<std::uint32_t, 12> kEdges = {
      0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF};
  const std::size_t times = 1 + random.below(4);
  for (std::size_t i = 0; i < times; ++i) {
    if (bytes.empty()) bytes.push_back(0);
    const std::size_t at = random.below(bytes.size());
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t length = 1 + random.below(std::min<std::size_t>(bytes.size() - at, 64));
    switch (random.below(8)) {
      case 0:
        *here ^= static_cast<std::uint8_t>(1U << random.below(8));
        break;
      case 1:
        *here = static_cast<std::uint8_t>(random.next());
        break;
      case 2: {
        const std::uint32_t edge = kEdges[random.below(kEdges.size())];
        const std::size_t width = std::min<std::size_t>(std::size_t{1} << random.below(3), bytes.size() - at);
        const bool big = random.below(2) == 1;
        for (std::size_t k = 0; k < width; ++k) {
          bytes[at + k] = static_cast<std::uint8_t>(edge >> (8 * (big ? width - 1 - k : k)));
        }
        break;
      }
      case 3:
        bytes.erase(here, here + static_cast<std::ptrdiff_t>(length));
        break;
      case 4: {
        const Bytes piece(here, here + static_cast<std::ptrdiff_t>(length));
        bytes.insert(here, piece.begin(), piece.end());
        break;
      }
      case 5:
        bytes.resize(at);
        break;
      case 6: {
        const Bytes& other = others[random.below(others.size())];
        if (other.empty()) break;
        const std::size_t from = random.below(other.size());
        const std::size_t many = std::min(other.size() - from, 1 + random.below(256));
        const auto begin = other.begin() + static_cast<std::ptrdiff_t>(from);
        bytes.insert(here, begin, begin + static_cast<std::ptrdiff_t>(many));
        break;
      }
      default:
        for (std::size_t k = 0; k < length; ++k) bytes[at + k] = static_cast<std::uint8_t>(random.next());
    }
  }
  if (bytes.size() > kLongestMutation) bytes.resize(kLongestMutation);
}

void run(const Bytes& bytes) {
  // Of its exact size on the heap, so that a checker of memory sees every step beyond it.
  const Bytes exact(bytes);
  current.data = exact.data();
  current.size = exact.size();
  ::alarm(kSecondsPerInput);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  ::alarm(0);
}

void limit_memory() {
  rlimit limit{};
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  if (!statm || ::getrlimit(RLIMIT_AS, &limit) != 0) return;
  limit.rlim_cur = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + kMostMemory;
  ::setrlimit(RLIMIT_AS, &limit);
}

std::vector<fs::path> files_of(const fs::path& place) {
  std::vector<fs::path> files;
  if (!fs::is_directory(place)) return {place};
  for (const auto& entry : fs::recursive_directory_iterator(place)) {
    if (entry.is_regular_file() && entry.path().filename().string().front() != '.') {
      files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

int main(int count, char** words) {
  const fs::path self(words[0]);
  const std::string name = "finding-" + self.filename().string() + ".bin";
  std::snprintf(current.file.data(), current.file.size(), "%s", name.c_str());
  std::size_t mutations = 0;
  std::vector<Bytes> inputs;
  for (const std::string_view word : std::vector<std::string_view>(words + 1, words + count)) {
    if (word.starts_with("-mutations=")) {
      mutations = std::strtoull(word.substr(11).data(), nullptr, 10);
      continue;
    }
    for (const fs::path& file : files_of(word)) {
      std::ifstream in(file, std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
      if (!in) {
        std::fprintf(stderr, "cannot read %s\n", file.c_str());
        return 2;
      }
    }
  }
  if (inputs.empty()) {
    std::fprintf(stderr, "no inputs: name files or folders of the corpus\n");
    return 2;
  }
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM}) std::signal(number, on_death);
  // What is set up once belongs to no input.
  run({});
  limit_memory();
  for (const Bytes& input : inputs) run(input);
  Random random(20261121);
  for (std::size_t i = 0; i < mutations; ++i) {
    Bytes bytes = inputs[random.below(inputs.size())];
    mutate(bytes, inputs, random);
    run(bytes);
  }
  std::printf("%zu files and %zu mutations: nothing found\n", inputs.size(), mutations);
  return 0;
}
