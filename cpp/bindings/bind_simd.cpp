#include "../src/simd/loops.hpp"
#include "arrays.hpp"

namespace consilience::bindings {

using namespace pybind11::literals;

void bind_simd(py::module_& m) {
  m.def("simd_levels", [] {
    const char* names[8];
    const std::size_t n = simd::available_loops(names, 8);
    py::list result;
    for (std::size_t i = 0; i < n; ++i) result.append(py::str(names[i]));
    return result;
  });
  m.def("simd_level", [] { return std::string(simd::loops().name); });
  m.def(
      "select_simd_level",
      [](const std::string& name) {
        require_shape(simd::select_loops(name.c_str()), "this machine does not run " + name);
      },
      "name"_a);
}

}  // namespace consilience::bindings
