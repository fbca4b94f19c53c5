// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/base/progress.h"
#include "pomona/model/network.h"
#include "pomona/storage/listing.h"

namespace pomona {

struct QuantizeOptions {
  NetworkOptions network;  // its precision is not used: all that this CPU has are compared
  ListingOptions listing;  // photos of the kind the network will see
  int calibrate = 64;      // photos the ranges are chosen by
  int compare = 192;       // other photos the result is compared on
  std::string name;        // in the registry; empty = as the network, with "-int8"
  std::uint64_t seed = 1;  // of the sample
};

// One way to run the network, on photos the ranges were not chosen by.
struct PrecisionFigures {
  std::string name;              // f32, bf16, int8 (integers throughout), or int8 and what the rest is in
  double photos_per_second = 0;  // inference alone, on all streams
  double least_cosine = 1;       // of its vectors to those in f32
  double median_cosine = 1;
};

struct QuantizeResult {
  std::string name;
  std::filesystem::path file;
  int quantized = 0;                                       // convolutions in 8-bit integers
  int convolutions = 0;                                    // in all
  std::size_t calibrated = 0, compared = 0, rejected = 0;  // photos
  std::vector<PrecisionFigures> figures;
};

// Makes a network that computes in 8-bit integers (quantize_network()) from one in floating point, adds it
// to the registry with its preprocessing, and measures both. Throws Error as featurize(), quantize_network()
// and add_model() do; Error{kUnavailable} where the network is not ONNX.
QuantizeResult quantize(const QuantizeOptions& options, const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
