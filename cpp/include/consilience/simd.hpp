// Which version of the hot loops runs; for tests and measurements.
#pragma once

#include <string>
#include <vector>

namespace consilience {

/// Instruction sets that this machine runs, best last.
std::vector<std::string> simd_levels();

/// The one in use.
std::string simd_level();

/// Chooses one by name for the whole process; false if this machine does not run it.
bool select_simd_level(const std::string& name);

}  // namespace consilience
