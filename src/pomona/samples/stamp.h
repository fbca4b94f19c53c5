// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pomona/image/image.h"

namespace pomona {

// A cut-out object at sizes 1, 1/2, 1/4, ...: colours as float 0 to 255, premultiplied with alpha (0 to 1),
// so that interpolation brings no fringe of the colour behind its edge.
class Stamp {
 public:
  // Throws Error{kFormat} where the PNG cannot be read or shows nothing.
  explicit Stamp(const std::filesystem::path& file);

  // The class a file stands for: "sliced_lime.png" -> "Sliced Lime", "Strawberry2.png" -> "Strawberry 2",
  // "apple_green.png" -> "Green Apple".
  static std::string class_name(const std::filesystem::path& file);

  // How one photo of it is taken.
  struct Pose {
    double angle = 0;      // of the turntable, radians
    double tilt = 1;       // foreshortening across the axis of the tilt, 0.8 to 1
    double tilt_axis = 0;  // radians
    double fill = 0.95;    // share of the frame that the object spans, on its longer side
    double shift_x = 0;    // -1 to 1: place within what `fill` leaves free
    double shift_y = 0;
    double light = 1;     // exposure
    double contrast = 1;  // about middle grey
    std::array<double, 3> tint = {1, 1, 1};
    double shade = 0;        // of the side away from the lamp, 0 to 0.3
    double lamp = 0;         // direction of the lamp, radians
    double noise = 0;        // amplitude of sensor noise, grey levels
    std::uint64_t seed = 0;  // of the noise
  };

  // Width and height of the object as posed, in pixels of the cut-out.
  std::array<double, 2> extent(const Pose& pose) const;

  // Draws the object on white into the whole of `image` (its size is given). Catmull-Rom interpolation
  // (Keys 1981, a = -1/2) on the size of the pyramid just above the one needed. Thread-safe.
  void draw(const Pose& pose, Image& image) const;

 private:
  struct Level {
    int width = 0;
    int height = 0;
    std::vector<float> pixels;  // height x width x 4, with a clear border of kBorder pixels included
  };
  struct Box {
    double left, top, right, bottom;
  };
  Box box(const Pose& pose) const;

  std::vector<Level> levels_;
  std::vector<std::array<double, 2>> outline_;  // ends of the opaque rows, from the middle of the cut-out
  double middle_x_ = 0;
  double middle_y_ = 0;
};

}  // namespace pomona
