// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/string.h>

#include <exception>
#include <string>

#include "bindings.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"

namespace nb = nanobind;

namespace pomona::python {

void bind_errors(nb::module_& module) {
  // A RuntimeError with the attribute `code`: the word for pomona::ErrorCode, as in the command's JSON.
  nb::object type = nb::steal(PyErr_NewExceptionWithDoc("pomona.Error",
                                                        "A job that failed. str(error) says what was wrong, "
                                                        "with which input, and what to do; error.code is one "
                                                        "word for it.",
                                                        PyExc_RuntimeError, nullptr));
  module.attr("Error") = type;
  // The translator keeps the type for as long as the process lives.
  nb::register_exception_translator(
      [](const std::exception_ptr& pointer, void* payload) {
        try {
          std::rethrow_exception(pointer);
        } catch (const Error& error) {
          const nb::handle kind(static_cast<PyObject*>(payload));
          nb::object value = kind(escape_path(error.what()));  // it may name a path that is not UTF-8
          value.attr("code") = std::string(to_string(error.code()));
          PyErr_SetObject(kind.ptr(), value.ptr());
        }
      },
      type.release().ptr());
}

}  // namespace pomona::python
