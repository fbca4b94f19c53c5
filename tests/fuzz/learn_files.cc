// SPDX-License-Identifier: Apache-2.0
// The files of PCA, classifier and moments. Input: a byte of choices, the file without its checksum, which is
// added here: it keeps damage out, not malice.
#include <vector>

#include <xxhash.h>

#include "fuzz.h"
#include "pomona/learn/classifier.h"
#include "pomona/learn/moments.h"
#include "pomona/learn/pca.h"

using namespace pomona;

namespace {

constexpr std::size_t kMost = 1 << 16;  // numbers that are worked with

void use(const Pca& pca) {
  const auto d = static_cast<std::size_t>(pca.d());
  const auto k = static_cast<std::size_t>(pca.k());
  fuzz::require(pca.components().size() == k * d && pca.mean().size() == d, "a PCA of other sizes");
  fuzz::require(Pca::deserialize(pca.serialize()).serialize() == pca.serialize(),
                "a PCA that was written reads as another one");
  pca.explained();
  if (d > kMost) return;
  const std::vector<float> x(2 * d, 0.5F);
  std::vector<float> y(2 * k);
  pca.transform(x, 2, y);
  if (k > 0) static_cast<void>(pca.truncated(1).serialize());
}

void use(const Classifier& classifier) {
  const auto d = static_cast<std::size_t>(classifier.d);
  fuzz::require(Classifier::deserialize(classifier.serialize()).labels == classifier.labels,
                "a classifier that was written reads as another one");
  if (d > kMost) return;
  const std::vector<float> x(3 * d, 0.25F);
  std::vector<float> out(3 * classifier.labels.size());
  classifier.probabilities(x, 3, out);
}

void use(const Moments& moments) {
  fuzz::require(Moments::deserialize(moments.serialize()).n() == moments.n(),
                "moments that were written read as others");
  if (moments.d() > 64) return;
  PcaOptions options;
  options.variance = 0.9;
  fuzz::accepts([&] { use(Pca::fit(moments, options)); });
  Moments sum = moments;
  sum.merge(moments);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t choices = input.byte();
  std::string bytes(input.text());
  if ((choices & 0x80) == 0) {
    const XXH64_hash_t sum = XXH3_64bits(bytes.data(), bytes.size());
    bytes.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  }
  switch (choices % 3) {
    case 0:
      fuzz::accepts([&] { use(Pca::deserialize(bytes)); });
      break;
    case 1:
      fuzz::accepts([&] { use(Classifier::deserialize(bytes)); });
      break;
    default:
      fuzz::accepts([&] { use(Moments::deserialize(bytes)); });
  }
  return 0;
}
