// Random votes, and the same votes in every kind of array that a caller may hand over.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "consilience/states.hpp"
#include "consilience/types.hpp"
#include "simd/loops.hpp"

namespace consilience::test {

/// The same numbers on every machine, unlike the distributions of the standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  Index below(Index n) { return static_cast<Index>(engine_() % static_cast<std::uint64_t>(n)); }
  double uniform(double low = 0, double high = 1) {
    return low + (high - low) * static_cast<double>(engine_() >> 11) * 0x1p-53;
  }

 private:
  std::mt19937_64 engine_;
};

/// Labels in the plainest form: (item, source) of task t at `tables[t][item * n_sources + source]`.
struct Labels {
  Index n_items;
  Index n_sources;
  std::vector<std::int32_t> cardinalities;
  std::vector<std::vector<std::int64_t>> tables;

  std::int64_t& at(std::size_t task, Index item, Index source) {
    return tables[task][static_cast<std::size_t>(item * n_sources + source)];
  }
  std::int64_t at(std::size_t task, Index item, Index source) const {
    return tables[task][static_cast<std::size_t>(item * n_sources + source)];
  }
};

inline Labels random_labels(std::uint64_t seed, Index n_items, Index n_sources,
                            std::vector<std::int32_t> cardinalities, double coverage = 0.7) {
  Random random(seed);
  Labels labels{n_items, n_sources, std::move(cardinalities), {}};
  for (const std::int32_t cardinality : labels.cardinalities) {
    std::vector<std::int64_t> table(static_cast<std::size_t>(n_items * n_sources), -1);
    for (std::int64_t& label : table) {
      if (random.uniform() < coverage) label = random.below(cardinality);
    }
    labels.tables.push_back(std::move(table));
  }
  return labels;
}

inline constexpr IntType kSigned[] = {IntType::i8, IntType::i16, IntType::i32, IntType::i64};
inline constexpr IntType kUnsigned[] = {IntType::u8, IntType::u16, IntType::u32, IntType::u64};

inline Index size_of(IntType type) {
  switch (type) {
    case IntType::i8:
    case IntType::u8:
      return 1;
    case IntType::i16:
    case IntType::u16:
      return 2;
    case IntType::i32:
    case IntType::u32:
      return 4;
    default:
      return 8;
  }
}

/// Writes the low bytes of `value`: two's complement, little-endian or not.
inline void store(IntType type, std::int64_t value, std::byte* at) {
  const auto write = [at](auto typed) { std::memcpy(at, &typed, sizeof typed); };
  switch (size_of(type)) {
    case 1:
      return write(static_cast<std::uint8_t>(value));
    case 2:
      return write(static_cast<std::uint16_t>(value));
    case 4:
      return write(static_cast<std::uint32_t>(value));
    default:
      return write(static_cast<std::uint64_t>(value));
  }
}

/// Strides in elements, and bytes added to that of the rows.
struct Layout {
  std::string name;
  Index row_step;
  Index column_step;
  Index row_bytes = 0;
};

inline Layout c_order(Index n_sources) { return {"C order", n_sources, 1}; }

inline std::vector<Layout> every_layout(Index n, Index m) {
  return {c_order(m),
          {"Fortran order", 1, n},
          {"rows reversed", -m, 1},
          {"columns reversed", m, -1},
          {"rows and columns reversed", -m, -1},
          {"Fortran order, rows reversed", -1, n},
          {"Fortran order, columns reversed", 1, -n},
          {"a slice of longer rows", m + 3, 1},
          {"every other source of every third row", 6 * m, 2},
          {"Fortran order, every other row", 2, 2 * n + 1},
          {"rows that are not aligned", m, 1, 1}};
}

/// Votes with the arrays they borrow. Each array is a heap block that ends where the votes end, so
/// that the address sanitizer sees a read beyond.
struct HeldVotes {
  VoteView view;
  std::vector<std::unique_ptr<std::byte[]>> arrays;

  std::byte* allocate(Index n_bytes) {
    arrays.push_back(std::make_unique<std::byte[]>(static_cast<std::size_t>(n_bytes)));
    return arrays.back().get();
  }
};

/// What lies between the entries of a view is no label.
inline DenseTable dense_table(HeldVotes& held, const Labels& labels, std::size_t task, IntType type,
                              const Layout& layout) {
  const Index n = labels.n_items, m = labels.n_sources, size = size_of(type);
  const Index row_stride = layout.row_step * size + layout.row_bytes;
  const Index column_stride = layout.column_step * size;
  const Index last_row = std::max<Index>(n - 1, 0) * row_stride;
  const Index last_column = (m - 1) * column_stride;
  const Index lowest = std::min<Index>(last_row, 0) + std::min<Index>(last_column, 0);
  const Index highest = std::max<Index>(last_row, 0) + std::max<Index>(last_column, 0) + size;
  std::byte* block = held.allocate(n == 0 ? 0 : highest - lowest);
  if (n > 0) std::memset(block, 0x5b, static_cast<std::size_t>(highest - lowest));
  std::byte* first = block - lowest;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < m; ++j) {
      store(type, labels.at(task, i, j), first + i * row_stride + j * column_stride);
    }
  }
  return {first, type, row_stride, column_stride};
}

inline HeldVotes dense_votes(const Labels& labels, IntType type, const Layout& layout) {
  HeldVotes held{{labels.n_items, labels.n_sources, {}, labels.cardinalities}, {}};
  for (std::size_t task = 0; task < labels.tables.size(); ++task) {
    held.view.tables.emplace_back(dense_table(held, labels, task, type, layout));
  }
  return held;
}

inline HeldVotes dense_votes(const Labels& labels, IntType type = IntType::i8) {
  return dense_votes(labels, type, c_order(labels.n_sources));
}

inline IntArray int_array(HeldVotes& held, IntType type, const std::vector<std::int64_t>& values) {
  std::byte* block = held.allocate(static_cast<Index>(values.size()) * size_of(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    store(type, values[i], block + static_cast<Index>(i) * size_of(type));
  }
  return {block, type};
}

enum class Zeros : std::uint8_t { absent, every_other_one_stored };

inline SparseTable sparse_table(HeldVotes& held, const Labels& labels, std::size_t task,
                                IntType index_type, IntType data_type, Zeros zeros) {
  std::vector<std::int64_t> indptr{0}, indices, data;
  for (Index i = 0; i < labels.n_items; ++i) {
    for (Index j = 0; j < labels.n_sources; ++j) {
      const std::int64_t label = labels.at(task, i, j);
      if (label == -1 && (zeros == Zeros::absent || (i + j) % 2 == 0)) continue;
      indices.push_back(j);
      data.push_back(label + 1);
    }
    indptr.push_back(static_cast<std::int64_t>(indices.size()));
  }
  const SparseTable table{int_array(held, index_type, indptr), int_array(held, index_type, indices),
                          int_array(held, data_type, data)};
  check_sparse_structure(table, labels.n_items, labels.n_sources,
                         static_cast<Index>(indices.size()));
  return table;
}

inline HeldVotes sparse_votes(const Labels& labels, IntType index_type = IntType::i32,
                              IntType data_type = IntType::i8, Zeros zeros = Zeros::absent) {
  HeldVotes held{{labels.n_items, labels.n_sources, {}, labels.cardinalities}, {}};
  for (std::size_t task = 0; task < labels.tables.size(); ++task) {
    held.view.tables.emplace_back(sparse_table(held, labels, task, index_type, data_type, zeros));
  }
  return held;
}

/// States of (item, source), row by row, as the coding of one task gives them.
inline std::vector<std::int32_t> states_of_one_task(const Labels& labels) {
  std::vector<std::int32_t> states;
  for (const std::int64_t label : labels.tables[0]) {
    states.push_back(static_cast<std::int32_t>(label + 1));
  }
  return states;
}

/// What of several tasks a source says, as one number; 0 if nothing.
inline VoteKey key_at(const Labels& labels, Index item, Index source) {
  VoteKey key = 0, stride = 1;
  for (std::size_t task = 0; task < labels.tables.size(); ++task) {
    key += static_cast<VoteKey>(labels.at(task, item, source) + 1) * stride;
    stride *= static_cast<VoteKey>(labels.cardinalities[task]) + 1;
  }
  return key;
}

/// A coding of several tasks in `n_states` states, some vote vectors among the abstentions; the
/// states of (item, source) that it gives, row by row.
struct CodedStates {
  StateCoding coding;
  std::vector<std::int32_t> states;
};

inline CodedStates code_several_tasks(const Labels& labels, std::int32_t n_states) {
  VoteKey n_keys = 1;
  for (const std::int32_t cardinality : labels.cardinalities) {
    n_keys *= static_cast<VoteKey>(cardinality) + 1;
  }
  const auto state_of = [n_states](VoteKey key) {
    return static_cast<std::int32_t>(key * 2654435761u % static_cast<VoteKey>(n_states));
  };
  std::vector<VoteKey> keys;
  std::vector<std::int32_t> key_states, states;
  for (Index i = 0; i < labels.n_items; ++i) {
    for (Index j = 0; j < labels.n_sources; ++j) {
      const VoteKey key = key_at(labels, i, j);
      states.push_back(key == 0 ? 0 : state_of(key));
      if (key != 0) keys.push_back(key);
    }
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  for (const VoteKey key : keys) key_states.push_back(state_of(key));
  return {StateCoding(keys, key_states, n_keys, n_states), std::move(states)};
}

/// Reads source j in component j % 4, and a fifth component of the first two sources again; each
/// source has a digit of its own in a component's state.
inline CodedStates read_together(const StateCoding& coding, const std::vector<std::int32_t>& states,
                                 Index n_sources) {
  const Index n_columns = 5, n_source_states = coding.n_source_states();
  std::vector<std::int32_t> radix(static_cast<std::size_t>(n_columns), 1);
  Components components{n_columns, 0, {0}, {}, {}};
  for (Index j = 0; j < n_sources; ++j) {
    std::vector<Index> own{j % 4};
    if (j < 2) own.push_back(4);
    for (const Index column : own) {
      std::int32_t& stride = radix[static_cast<std::size_t>(column)];
      components.component_of.push_back(static_cast<std::int32_t>(column));
      for (std::int32_t s = 0; s < n_source_states; ++s) {
        components.contribution.push_back(s * stride);
      }
      stride *= static_cast<std::int32_t>(n_source_states);
    }
    components.start.push_back(static_cast<std::int32_t>(components.component_of.size()));
  }
  components.n_states = *std::max_element(radix.begin(), radix.end());
  const std::size_t n_items = states.size() / static_cast<std::size_t>(n_sources);
  std::vector<std::int32_t> of_columns(n_items * static_cast<std::size_t>(n_columns), 0);
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto item = static_cast<Index>(i) / n_sources, j = static_cast<Index>(i) % n_sources;
    for (auto part = components.start[static_cast<std::size_t>(j)];
         part < components.start[static_cast<std::size_t>(j + 1)]; ++part) {
      const Index column = components.component_of[static_cast<std::size_t>(part)];
      of_columns[static_cast<std::size_t>(item * n_columns + column)] +=
          components.contribution[static_cast<std::size_t>(part * n_source_states + states[i])];
    }
  }
  return {coding.with_components(components), std::move(of_columns)};
}

inline std::vector<std::string> simd_levels() {
  const char* names[8];
  const std::size_t n = simd::available_loops(names, 8);
  return {names, names + n};
}

/// Runs with one instruction set's loops, and with the best ones again afterwards.
class WithSimdLevel {
 public:
  explicit WithSimdLevel(const std::string& name) { simd::select_loops(name.c_str()); }
  ~WithSimdLevel() { simd::select_loops(simd_levels().back().c_str()); }
  WithSimdLevel(const WithSimdLevel&) = delete;
  WithSimdLevel& operator=(const WithSimdLevel&) = delete;
};

}  // namespace consilience::test
