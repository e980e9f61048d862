#include "consilience/simd.hpp"

#include "simd/loops.hpp"

namespace consilience {

std::vector<std::string> simd_levels() {
  const char* names[8];
  const std::size_t n = simd::available_loops(names, 8);
  return {names, names + n};
}

std::string simd_level() { return simd::loops().name; }

bool select_simd_level(const std::string& name) { return simd::select_loops(name.c_str()); }

}  // namespace consilience
