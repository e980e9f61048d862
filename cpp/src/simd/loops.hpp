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

  /// What `count_intersections` takes a row of two planes, and `list_votes` an entry: measured, for
  /// the choice between them.
  double nanoseconds_of_intersection;
  double nanoseconds_of_listing;

  /// Labels of a row-major block to states (label + 1), source by source:
  /// `states[source * stride + row]`. At most `n_readable` bytes from `labels` on may be read.
  /// Returns nonzero if a label lies outside [-1, max_state).
  int (*transpose_labels)(const int8_t* labels, ptrdiff_t row_stride, size_t n_rows,
                          size_t n_sources, size_t n_readable, uint8_t* states, size_t stride,
                          uint8_t max_state);

  /// The same for one source whose labels are contiguous.
  int (*shift_labels)(const int8_t* labels, size_t n_rows, uint8_t* states, uint8_t max_state);

  /// The low bytes of n labels of 2, 4 or 8 bytes, contiguous but not aligned. Returns nonzero if a
  /// label lies outside [-1, cardinality).
  int (*narrow_16)(const void* labels, size_t n, int64_t cardinality, int8_t* out);
  int (*narrow_32)(const void* labels, size_t n, int64_t cardinality, int8_t* out);
  int (*narrow_64)(const void* labels, size_t n, int64_t cardinality, int8_t* out);

  /// Largest label + 1 as an unsigned byte: above 128 if some label is below -1.
  uint8_t (*largest_state)(const int8_t* labels, size_t n);

  /// Adds `factor` times `bytes` to `sums`, n of each, modulo 256.
  void (*add_multiples)(const uint8_t* bytes, size_t n, uint8_t factor, uint8_t* sums);

  /// Replaces 64 * n_groups bytes by their entries of `table`, (256,), which is 0 from n_entries
  /// on.
  void (*look_up)(uint8_t* bytes, size_t n_groups, const uint8_t* table, size_t n_entries);

  /// Clears the bits in `rows`, 64 * n_words of them, of the bytes that equal `value`. Returns how
  /// many were set.
  uint64_t (*take_equal)(const uint8_t* bytes, size_t n_words, uint8_t value, uint64_t* rows);

  /// Bit r of `bits` tells whether `states[r] == state`, for 64 * n_words rows.
  void (*pack_equal)(const uint8_t* states, size_t n_words, uint8_t state, uint64_t* bits);

  /// Adds a plane of votes to those of its source and of its state, and to the rows with at least
  /// one and at least two votes. Planes of one source have no bit in common.
  void (*merge_plane)(const uint64_t* bits, size_t n_words, uint64_t* of_source, uint64_t* of_state,
                      uint64_t* once, uint64_t* twice);

  /// Adds 1 to the numbers of the rows whose bits are set. Digit p of the numbers, in base 2, is
  /// plane p of `digits`; a carry out of the last digit is lost.
  void (*increment)(const uint64_t* bits, size_t n_words, uint64_t* digits, size_t n_digits);

  /// Adds to `sums[p]` the number of common bits of `plane` and plane p of `planes`.
  void (*count_intersections)(const uint64_t* plane, const uint64_t* planes, size_t n_planes,
                              size_t n_words, uint64_t* sums);

  /// Lists the votes of a row-major block: those of row r at [start[r], start[r + 1]), by
  /// increasing source, with state = label + 1. There is room for a vote in every cell. At most
  /// `n_readable` bytes from `labels` on may be read. Returns nonzero if a label lies outside [-1,
  /// max_state).
  int (*list_votes)(const int8_t* labels, ptrdiff_t row_stride, size_t n_rows, size_t n_sources,
                    size_t n_readable, uint8_t max_state, int64_t* start, int32_t* source,
                    int32_t* state);

  /// sums[r] = base + the entries of row r's states, added source by source: that of source j is
  /// tables[j * table_stride + states[j * stride + r]]. Every table has at least 16 entries.
  void (*add_looked_up)(const uint8_t* states, size_t stride, size_t n_rows, size_t n_sources,
                        const double* tables, size_t table_stride, int n_states, double base,
                        double* sums);

  /// Entry (y, r) of `scores`, (width, stride), becomes base[y] + the entries of the votes of row
  /// r: those at [start[r], start[r + 1]), each adding row source * n_states + state of `entries`,
  /// (m * n_states, width). `width` is a multiple of 4.
  void (*add_votes)(const int64_t* start, const int32_t* source, const int32_t* state,
                    size_t n_rows, int32_t n_states, const double* entries, const double* base,
                    size_t width, double* scores, size_t stride);

  /// Softmax down the columns of `scores`, (n_vectors, stride), in place, for the first n_rows.
  void (*softmax)(double* scores, size_t n_vectors, size_t stride, size_t n_rows);

  /// The same; logs[r] becomes the logarithm of the sum of the exponentials of row r's scores.
  void (*softmax_with_logs)(double* scores, size_t n_vectors, size_t stride, size_t n_rows,
                            double* logs);

  /// Divides the columns of `scores`, (n_vectors, stride), by their sums, for the first n_rows.
  void (*shares)(double* scores, size_t n_vectors, size_t stride, size_t n_rows);

  /// Adds `weight` times the first n_rows columns of `values`, (n_vectors, stride), to `sums`.
  void (*add_weighted)(const double* values, size_t n_vectors, size_t stride, size_t n_rows,
                       double weight, double* sums);

  /// Adds the values of 64 * n_groups rows, (n_vectors, value_stride), to those of their states
  /// other than 0: of source j in state s, the values of rows l, l + 8, ... of vector y to lanes[8
  /// * ((j * n_states + s) * n_vectors + y) + l].
  void (*add_by_state)(const uint8_t* states, size_t stride, size_t n_groups, size_t n_sources,
                       int n_states, const double* values, size_t n_vectors, size_t value_stride,
                       double* lanes);

  /// Of at most 4096 rows with two label vectors: differences[r], the second's score minus the
  /// first's, becomes the probability of the second. Returns the sum of log(1 + exp(difference)).
  double (*logistic_with_log)(double* differences, size_t n_rows);

  /// Probabilities as whole multiples of 2^-31, by bytes: the b-th lowest of row r goes to bytes[b
  /// * stride + r], b < 4; rows up to a multiple of 64 become 0. Returns the sum.
  uint64_t (*split_fixed)(const double* probabilities, size_t n_rows, uint8_t* bytes,
                          size_t stride);

  /// Adds the numbers of 64 * n_groups rows, at most 4096, split as by `split_fixed`, to those of
  /// their states other than 0: of source j in state s to sums[(j * n_states + s) * sum_stride].
  void (*add_fixed_by_state)(const uint8_t* states, size_t stride, size_t n_groups,
                             size_t n_sources, int n_states, const uint8_t* bytes,
                             size_t byte_stride, uint64_t* sums, size_t sum_stride);

  /// Adds to counts[j * n_states + s] the number of 64 * n_groups rows on which source j is in
  /// state s, for states other than 0.
  void (*count_states)(const uint8_t* states, size_t stride, size_t n_groups, size_t n_sources,
                       int n_states, uint64_t* counts);

  /// Entry (c, r) of `columns`, (n_columns, stride), to out[r * n_columns + c].
  void (*interleave)(const double* columns, size_t n_columns, size_t stride, size_t n_rows,
                     double* out);
  /// The same, rounded.
  void (*interleave_rounded)(const double* columns, size_t n_columns, size_t stride, size_t n_rows,
                             float* out);

  /// Of the vectors whose score is within `tie` of the row's highest, the one that comes first in
  /// `preference`, (n_vectors,).
  void (*first_of_highest)(const double* scores, size_t n_vectors, size_t stride, size_t n_rows,
                           const int32_t* preference, double tie, int64_t* out);

  // --- rows as numbers

  /// A row's states as one number in base `n_states`, the first source's first; below 2^32.
  void (*row_codes)(const uint8_t* states, size_t stride, size_t n_rows, size_t n_sources,
                    uint32_t n_states, uint32_t* codes);

  /// A row's states in fields of `bits`, at most 8, whole fields to a byte: the first source in the
  /// highest field of the lowest byte. At most 64 bits in all; rows up to a multiple of 64 are
  /// read.
  void (*row_keys)(const uint8_t* states, size_t stride, size_t n_rows, size_t n_sources, int bits,
                   uint64_t* keys);

  /// The inverse of `row_keys`; rows up to a multiple of 64 are written.
  void (*split_keys)(const uint64_t* keys, size_t n_rows, size_t n_sources, int bits,
                     uint8_t* states, size_t stride);

  /// Record codes[r] of `table`, of `n_bytes` each, to place r of `out`.
  void (*copy_records)(const unsigned char* table, size_t n_bytes, const uint32_t* codes,
                       size_t n_rows, unsigned char* out);
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
