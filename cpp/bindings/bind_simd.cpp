#include <pybind11/stl.h>

#include "arrays.hpp"
#include "consilience/simd.hpp"

namespace consilience::bindings {

using namespace pybind11::literals;

void bind_simd(py::module_& m) {
  m.def("simd_levels", &simd_levels);
  m.def("simd_level", &simd_level);
  m.def(
      "select_simd_level",
      [](const std::string& name) {
        require_shape(select_simd_level(name), "this machine does not run " + name);
      },
      "name"_a);
}

}  // namespace consilience::bindings
