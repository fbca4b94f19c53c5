// SPDX-License-Identifier: Apache-2.0
#include "photos.h"

#include <nanobind/stl/string.h>

#include <cstdint>
#include <limits>
#include <string>

#include "pomona/base/escape.h"

namespace nb = nanobind;

namespace pomona::python {
namespace {

using Pixels = nb::ndarray<const std::uint8_t, nb::c_contig, nb::device::cpu>;

std::string shown(nb::object object) {
  return nb::cast<std::string>(nb::str(nb::handle(object)));
}

std::string type_word(nb::handle object) {
  return nb::cast<std::string>(object.type().attr("__name__"));
}

}  // namespace

std::string location(std::string text) {
  // Java writes file:/path, others file:///path or file://localhost/path.
  constexpr std::string_view scheme = "file:";
  if (!text.starts_with(scheme)) return text;
  std::string_view rest = std::string_view(text).substr(scheme.size());
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos) return text;
    rest.remove_prefix(slash);
  }
  return rest.starts_with('/') ? percent_decode(rest) : text;
}

Photos::Photos(nb::sequence photos) {
  if (PyUnicode_Check(photos.ptr()) || PyBytes_Check(photos.ptr())) {
    throw nb::type_error("photos must be a list; for one photo write [photo]");
  }
  const std::size_t count = nb::len(photos);
  sources_.reserve(count);
  // Buffers must not move once they are taken: sources point at what they describe, not at them, but
  // releasing needs the very structs.
  buffers_.reserve(count);
  try {
    for (std::size_t i = 0; i < count; ++i) add(photos[i]);
  } catch (...) {
    for (Py_buffer& buffer : buffers_) PyBuffer_Release(&buffer);
    throw;
  }
}

Photos::~Photos() {
  for (Py_buffer& buffer : buffers_) PyBuffer_Release(&buffer);
}

void Photos::add(nb::handle photo) {
  const std::string where = "photos[" + std::to_string(sources_.size()) + "]";
  if (PyUnicode_Check(photo.ptr()) || nb::hasattr(photo, "__fspath__")) {
    const nb::object plain = nb::steal(PyOS_FSPath(photo.ptr()));
    if (!plain.is_valid()) throw nb::python_error();
    nb::object bytes = nb::borrow(plain);
    if (PyUnicode_Check(plain.ptr())) bytes = nb::steal(PyUnicode_EncodeFSDefault(plain.ptr()));
    if (!bytes.is_valid()) throw nb::python_error();
    sources_.emplace_back(location(std::string(PyBytes_AS_STRING(bytes.ptr()),
                                               static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())))));
    return;
  }
  if (add_array(photo)) return;
  if (PyObject_CheckBuffer(photo.ptr()) != 0) {
    Py_buffer buffer;
    if (PyObject_GetBuffer(photo.ptr(), &buffer, PyBUF_SIMPLE) != 0) throw nb::python_error();
    buffers_.push_back(buffer);
    sources_.emplace_back(
        std::span(static_cast<const std::byte*>(buffer.buf), static_cast<std::size_t>(buffer.len)));
    return;
  }
  throw nb::type_error((where + " is of type " + type_word(photo) +
                        "; a path (str, os.PathLike), an encoded photo (bytes) or a uint8 array of shape "
                        "(height, width, 3) can be read")
                           .c_str());
}

// False where it is no array of two dimensions or more: bytes, a memoryview, a flat array of encoded bytes.
bool Photos::add_array(nb::handle photo) {
  // Pillow's images have modes that only Pillow knows how to turn into RGB. They come here first: one of a
  // file that is cut off fails when it is asked for anything.
  if (nb::hasattr(photo, "mode") && nb::hasattr(photo, "convert") && nb::hasattr(photo, "getbands")) {
    nb::object converted;
    try {
      converted = photo.attr("convert")("RGB");
    } catch (nb::python_error& error) {
      // What Pillow says of a photo; a Ctrl-C or an end of memory is none.
      if (!error.matches(PyExc_OSError) && !error.matches(PyExc_ValueError) &&
          !error.matches(PyExc_SyntaxError)) {
        throw;
      }
      unusable_.emplace_back(sources_.size(), "Pillow cannot read it: " + shown(nb::borrow(error.value())));
      sources_.emplace_back(std::span<const std::byte>());
      return true;
    }
    return add_array(nb::module_::import_("numpy").attr("asarray")(converted));
  }
  const bool is_array = nb::hasattr(photo, "__dlpack__") || nb::hasattr(photo, "__array_interface__");
  if (!is_array) return false;
  const std::string where = "photos[" + std::to_string(sources_.size()) + "]";
  nb::object object = nb::borrow(photo);
  if (!nb::hasattr(object, "ndim")) object = nb::module_::import_("numpy").attr("asarray")(object);
  const auto ndim = nb::cast<int>(object.attr("ndim"));
  const auto dtype = shown(object.attr("dtype"));
  if (ndim == 1 && dtype == "uint8") return false;
  Pixels pixels;
  const bool shaped = (ndim == 2 || ndim == 3) && dtype == "uint8" && nb::try_cast(object, pixels);
  const std::size_t channels = shaped && ndim == 3 ? pixels.shape(2) : 1;
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (!shaped || (channels != 1 && channels != 3 && channels != 4) || pixels.shape(0) > most ||
      pixels.shape(1) > most) {
    throw nb::type_error((where + " is an array of shape " + shown(object.attr("shape")) + " and type " +
                          dtype +
                          "; pictures are uint8 arrays of shape (height, width, 3), (height, width, 4) or "
                          "(height, width)")
                             .c_str());
  }
  RawPixels raw;
  raw.height = static_cast<int>(pixels.shape(0));
  raw.width = static_cast<int>(pixels.shape(1));
  raw.channels = static_cast<int>(channels);
  raw.pixels = pixels.data();
  raw.row_bytes = pixels.shape(1) * channels;
  sources_.emplace_back(raw);
  arrays_.push_back(std::move(pixels));
  return true;
}

}  // namespace pomona::python
