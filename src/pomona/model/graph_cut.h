// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "pomona/model/network.h"
#include "pomona/model/network_file.h"
#include "pomona/model/preprocess.h"

namespace ov {
class Model;
}

namespace pomona {

// What the featurizer is to be made of.
struct CutOptions {
  std::string layer = "penultimate";
  Pool pool = Pool::kAuto;
  int width = 0;   // pixels; 0 = as the network has it, else 224
  int height = 0;  // pixels
  int batch = 1;   // photos; 0 = batch_for() the input's size, and 1 where the network takes one at a time
  bool channels_last = false;  // layout to assume where the network does not tell (TensorFlow's)
};

// How a network of this format is cut for photos preprocessed so: as large as `spec` asks, if it does.
CutOptions cut_options(NetworkFormat format, const PreprocessSpec& spec, const std::string& layer);

// A network made into a featurizer.
struct CutNetwork {
  std::shared_ptr<ov::Model> model;  // u8 (batch, height, width, 3) RGB in, f32 (batch, dimension) out
  std::string layer;                 // the tensor it was cut at
  Pool pool = Pool::kNone;           // as resolved: avg, max or none
  MapLayout map = MapLayout::kFlat;  // of that tensor
  int dimension = 0;
  int width = 0;            // pixels
  int height = 0;           // pixels
  int batch = 0;            // photos
  bool raw_pixels = false;  // the network takes bytes itself (quantized): mean and std are not applied, the
                            // order of colours is
};

// How many photos of an input size pass through a network at once with the least time for each.
int batch_for(int width, int height);

// Cuts the classification head off (or at a named layer), pools, makes batch and size static and puts the
// preprocessing in front: conversion from bytes, mean, and std and colour order folded into the first
// convolution where its weights are plain. `model` is used up. Works on the graph alone, so that all formats
// OpenVINO reads are treated alike. Throws Error{kUsage | kFormat}.
CutNetwork cut_network(std::shared_ptr<ov::Model> model, const CutOptions& options,
                       const PreprocessSpec& spec);

}  // namespace pomona
