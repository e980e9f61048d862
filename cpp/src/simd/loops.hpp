// The hot loops, compiled once for every instruction set and chosen at run time.
//
// What includes this header with a target's own flags (loops.inc) must not instantiate anything
// that another translation unit could share: no templates of the standard library, no inline
// functions with external linkage. Otherwise the linker may keep the copy that needs AVX2 for a
// machine without it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace consilience::simd {

/// One instruction set's version of every hot loop. All versions give the same bits.
struct Loops {
  const char* name;

  /// Labels of a row-major block to states (label + 1), source by source:
  /// `states[source * stride + row]`. At most `n_readable` bytes from `labels` on may be read.
  /// Returns nonzero if a label lies outside [-1, max_state).
  int (*transpose_labels)(const int8_t* labels, ptrdiff_t row_stride, size_t n_rows,
                          size_t n_sources, size_t n_readable, uint8_t* states, size_t stride,
                          uint8_t max_state);

  /// The same for one source whose labels are contiguous.
  int (*shift_labels)(const int8_t* labels, size_t n_rows, uint8_t* states, uint8_t max_state);

  /// Largest label + 1 as an unsigned byte: above 128 if some label is below -1.
  uint8_t (*largest_state)(const int8_t* labels, size_t n);

  /// Bit r of `bits` tells whether `states[r] == state`, for 64 * n_words rows.
  void (*pack_equal)(const uint8_t* states, size_t n_words, uint8_t state, uint64_t* bits);

  /// Adds a plane of votes to those of its source and of its state, and to the rows with at least
  /// one and at least two votes. Planes of one source have no bit in common.
  void (*merge_plane)(const uint64_t* bits, size_t n_words, uint64_t* of_source, uint64_t* of_state,
                      uint64_t* once, uint64_t* twice);

  /// Adds to `sums[p]` the number of common bits of `plane` and plane p of `planes`.
  void (*count_intersections)(const uint64_t* plane, const uint64_t* planes, size_t n_planes,
                              size_t n_words, uint64_t* sums);

  /// sums[r] += table[states[r]]. The table has at least 8 entries, whatever the states are.
  void (*add_looked_up)(const uint8_t* states, size_t n_rows, const double* table, int n_states,
                        double* sums);

  /// Softmax down the columns of `scores`, (n_vectors, stride), in place, for the first n_rows.
  void (*softmax)(double* scores, size_t n_vectors, size_t stride, size_t n_rows);
};

extern const Loops kBaselineLoops;
#if defined(CONSILIENCE_X86_DISPATCH)
extern const Loops kAvx2Loops;
extern const Loops kAvx512Loops;
#endif

/// The version in use: the best one that this machine runs, unless `select_loops` chose another.
const Loops& loops();

/// Names of the versions this machine runs, best last.
size_t available_loops(const char* names[], size_t capacity);

/// Chooses a version by name, for tests and measurements; false if this machine does not run it.
bool select_loops(const char* name);

}  // namespace consilience::simd
