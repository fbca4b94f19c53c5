// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "pomona/int8/mobile_chain.h"

namespace onnx {
class ModelProto;
}

namespace pomona {

// A quantized network of the MobileNet kind (mobile_chain.h), from RGB bytes to the vector, in integers: 1 x
// 1 convolutions in 8 bits with 32-bit sums, what depthwise convolutions read and the first convolution in 16
// bits of fixed point, block inputs that are added in float32. A block's maps are computed strip by strip, so
// that the expanded ones never leave the core's own cache. Every photo's arithmetic is the same whatever is
// beside it and whatever the instructions. Copies share the weights; thread-safe.
class IntegerNetwork {
 public:
  // What it can be computed with. The bits are the same.
  enum class Instructions {
    kAvx2,        // and FMA: every x86-64-v3
    kAvx512Vnni,  // with BW, DQ and VL
  };

  // Memory for one thread's photos. Not thread-safe.
  class Scratch {
   public:
    ~Scratch();
    Scratch(Scratch&&) noexcept;
    Scratch& operator=(Scratch&&) noexcept;

   private:
    friend class IntegerNetwork;
    struct Impl;
    explicit Scratch(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
  };

  // Whether this CPU has these, or any of them.
  static bool runs_here(std::optional<Instructions> with = {});

  // The part of the graph up to `tensor`, or up to the average over the map that `tensor` is, of photos of
  // that size and scaling; else why not. Computed with the fastest instructions of this CPU, or with those.
  static std::expected<IntegerNetwork, std::string> make(const onnx::ModelProto& network,
                                                         const std::string& tensor, bool average_of_map,
                                                         const Pixels& photo,
                                                         std::optional<Instructions> with = {});

  int dimension() const;
  bool flat() const;  // `tensor` has no height and width

  // Room for up to `photos` at once: the weights are read once for all of them.
  Scratch make_scratch(int photos) const;

  // `pixels`: photos x height x width x 3 bytes. `features`: photos x dimension(). Neither throws nor
  // allocates.
  void infer(std::span<const std::uint8_t> pixels, int photos, Scratch& scratch,
             std::span<float> features) const;

 private:
  struct Impl;
  explicit IntegerNetwork(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace pomona
