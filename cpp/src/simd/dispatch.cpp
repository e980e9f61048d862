// Which version of the hot loops this machine runs.
#include <string.h>

#include <atomic>

#include "loops.hpp"

namespace consilience::simd {
namespace {

struct Candidates {
  const Loops* versions[3];
  size_t n = 0;
  Candidates() {
    versions[n++] = &kBaselineLoops;
#if defined(CONSILIENCE_X86_DISPATCH)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
      versions[n++] = &kAvx2Loops;
      if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
          __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vpopcntdq") &&
          __builtin_cpu_supports("avx512vnni")) {
        versions[n++] = &kAvx512Loops;
      }
    }
#endif
  }
};

const Candidates& candidates() {
  static const Candidates found;
  return found;
}

std::atomic<const Loops*>& selected() {
  static std::atomic<const Loops*> version{candidates().versions[candidates().n - 1]};
  return version;
}

}  // namespace

const Loops& loops() { return *selected().load(std::memory_order_relaxed); }

size_t available_loops(const char* names[], size_t capacity) {
  const Candidates& found = candidates();
  for (size_t i = 0; i < found.n && i < capacity; ++i) names[i] = found.versions[i]->name;
  return found.n;
}

bool select_loops(const char* name) {
  const Candidates& found = candidates();
  for (size_t i = 0; i < found.n; ++i) {
    if (strcmp(found.versions[i]->name, name) == 0) {
      selected().store(found.versions[i], std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}

}  // namespace consilience::simd
