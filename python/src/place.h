// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>

namespace pomona::python {

// A path or URI that came as str: its bytes, as Python hands names to the system. Names of files that are not
// UTF-8 are str with lone surrogates (os.fsdecode), which std::string would refuse.
struct Place {
  std::string bytes;
};

}  // namespace pomona::python

template <>
struct nanobind::detail::type_caster<pomona::python::Place> {
  NB_TYPE_CASTER(pomona::python::Place, const_name("str"))

  bool from_python(handle source, std::uint8_t /*flags*/, cleanup_list* /*cleanup*/) noexcept {
    if (!PyUnicode_Check(source.ptr())) return false;
    const object bytes = steal(PyUnicode_EncodeFSDefault(source.ptr()));
    if (!bytes.is_valid()) {
      PyErr_Clear();
      return false;
    }
    value.bytes.assign(PyBytes_AS_STRING(bytes.ptr()),
                       static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())));
    return true;
  }
};
