#include "consilience/states.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>

#include "blocks.hpp"
#include "consilience/errors.hpp"
#include "consilience/parallel.hpp"
#include "integers.hpp"
#include "simd/loops.hpp"

namespace consilience {
namespace {

constexpr VoteKey kMaxDirectKeys = VoteKey{1} << 20;

bool is_out_of_range(std::int64_t label, std::int64_t cardinality) {
  return label < -1 || label >= cardinality;
}

/// The largest state that a table of int8 is checked against: beyond 255 none of its labels is.
std::uint8_t byte_limit(std::int64_t cardinality) {
  return static_cast<std::uint8_t>(std::min<std::int64_t>(cardinality, 255));
}

/// label + 1. Wraps around for the extreme integers, which are refused as labels out of range.
template <class State>
State state_of(std::int64_t label) {
  return static_cast<State>(static_cast<std::uint64_t>(label) + 1);
}

/// Calls `body(row, source, label)` for every stored vote of rows [begin, begin + n_rows), rows in
/// order and sources increasing within a row; a stored 0, an abstention, is passed as -1.
template <class Body>
void for_each_stored(const SparseTable& table, Index begin, Index n_rows, Body&& body) {
  with_int_type(table.indptr.type, [&](auto p) {
    with_int_type(table.indices.type, [&](auto i) {
      with_int_type(table.data.type, [&](auto v) {
        for (Index row = begin; row < begin + n_rows; ++row) {
          const Index stop = load<decltype(p)>(table.indptr, row + 1);
          for (Index at = load<decltype(p)>(table.indptr, row); at < stop; ++at) {
            // Wraps around as `state_of` does.
            const auto stored = static_cast<std::uint64_t>(load<decltype(v)>(table.data, at));
            body(row, load<decltype(i)>(table.indices, at), static_cast<std::int64_t>(stored - 1));
          }
        }
      });
    });
  });
}

/// Calls `body(row, source, label)` for every entry of rows [begin, begin + n_rows), row by row.
template <class Body>
void for_each_entry(const DenseTable& table, Index n_sources, Index begin, Index n_rows,
                    Body&& body) {
  with_int_type(table.type, [&](auto zero) {
    for (Index row = begin; row < begin + n_rows; ++row) {
      const std::byte* of_row = table.data + row * table.row_stride;
      for (Index j = 0; j < n_sources; ++j) {
        body(row, j, load<decltype(zero)>(of_row + j * table.column_stride));
      }
    }
  });
}

/// Either of the two above.
template <class Body>
void for_each_label(const VoteView& votes, std::size_t task, Index begin, Index n_rows,
                    Body&& body) {
  if (const auto* dense = std::get_if<DenseTable>(&votes.tables[task])) {
    for_each_entry(*dense, votes.n_sources, begin, n_rows, body);
  } else {
    for_each_stored(std::get<SparseTable>(votes.tables[task]), begin, n_rows, body);
  }
}

/// Throws for the first bad label of a block that holds one.
[[noreturn]] void throw_label_out_of_range(const VoteView& votes, Index begin, Index n_rows) {
  for (std::size_t task = 0; task < votes.tables.size(); ++task) {
    for_each_label(votes, task, begin, n_rows, [&](Index row, Index source, std::int64_t label) {
      if (is_out_of_range(label, votes.cardinalities[task])) {
        throw LabelOutOfRange(static_cast<Index>(task), row, source, label,
                              votes.cardinalities[task]);
      }
    });
  }
  throw std::runtime_error("the votes changed while they were read");
}

/// The keys of a block of rows, (n_rows, n_sources) by source, and whether all labels are fine.
class KeyBlock {
 public:
  KeyBlock(const VoteView& votes, const std::vector<VoteKey>& strides, Index begin, Index n_rows)
      : n_rows_(n_rows), keys_(static_cast<std::size_t>(n_rows * votes.n_sources), 0) {
    bool bad = false;
    for (std::size_t task = 0; task < votes.tables.size(); ++task) {
      const std::int64_t cardinality = votes.cardinalities[task];
      const VoteKey stride = strides[task];
      const auto add = [&](Index row, Index source, std::int64_t label) {
        bad |= is_out_of_range(label, cardinality);
        keys_[static_cast<std::size_t>(source * n_rows_ + row - begin)] +=
            state_of<VoteKey>(label) * stride;
      };
      const auto* dense = std::get_if<DenseTable>(&votes.tables[task]);
      if (dense == nullptr) {
        for_each_stored(std::get<SparseTable>(votes.tables[task]), begin, n_rows, add);
        continue;
      }
      with_int_type(dense->type, [&](auto zero) {
        for (Index j = 0; j < votes.n_sources; ++j) {
          const std::byte* column =
              dense->data + begin * dense->row_stride + j * dense->column_stride;
          for (Index r = 0; r < n_rows; ++r) {
            add(begin + r, j, load<decltype(zero)>(column + r * dense->row_stride));
          }
        }
      });
    }
    if (bad) throw_label_out_of_range(votes, begin, n_rows);
  }

  const VoteKey* source(Index j) const { return keys_.data() + j * n_rows_; }

 private:
  Index n_rows_;
  std::vector<VoteKey> keys_;
};

/// States of one dense column; returns whether a label is out of range.
template <class T>
bool column_states(const DenseTable& table, Index source, Index begin, Index n_rows,
                   std::int64_t cardinality, std::uint8_t* states) {
  const std::byte* column = table.data + begin * table.row_stride + source * table.column_stride;
  bool bad = false;
  for (Index r = 0; r < n_rows; ++r) {
    const std::int64_t label = load<T>(column + r * table.row_stride);
    bad |= is_out_of_range(label, cardinality);
    states[r] = state_of<std::uint8_t>(label);
  }
  return bad;
}

/// What takes the low bytes of signed labels of this type; null for other types.
auto narrowing(IntType type) {
  switch (type) {
    case IntType::i16:
      return simd::loops().narrow_16;
    case IntType::i32:
      return simd::loops().narrow_32;
    case IntType::i64:
      return simd::loops().narrow_64;
    default:
      return decltype(simd::loops().narrow_64){nullptr};
  }
}

/// States of a dense table of wider integers whose rows, or columns, are contiguous: of their low
/// bytes, once their range is checked.
bool wide_states(const DenseTable& table, Index m, Index begin, Index n_rows,
                 std::int64_t cardinality, StateTile& tile) {
  const auto narrow = narrowing(table.type);
  const Index size = with_int_type(table.type, [](auto zero) { return Index{sizeof zero}; });
  const std::byte* first = table.data + begin * table.row_stride;
  const auto rows = static_cast<std::size_t>(n_rows), columns = static_cast<std::size_t>(m);
  bool bad = false;
  if (table.row_stride == size) {
    std::vector<std::int8_t> column(rows);
    for (Index j = 0; j < m; ++j) {
      bad |= narrow(first + j * table.column_stride, rows, cardinality, column.data()) != 0;
      simd::loops().shift_labels(column.data(), rows, tile.states.data() + j * tile.stride, 255);
    }
    return bad;
  }
  std::vector<std::int8_t> block(rows * columns);
  if (table.row_stride == m * size) {
    bad = narrow(first, block.size(), cardinality, block.data()) != 0;
  } else {
    for (Index r = 0; r < n_rows; ++r) {
      bad |= narrow(first + r * table.row_stride, columns, cardinality, block.data() + r * m) != 0;
    }
  }
  simd::loops().transpose_labels(block.data(), static_cast<std::ptrdiff_t>(m), rows, columns,
                                 block.size(), tile.states.data(),
                                 static_cast<std::size_t>(tile.stride), 255);
  return bad;
}

/// States of all columns of a dense table, in a tile of the right size; returns the same.
bool dense_states(const VoteView& votes, std::size_t task, Index begin, Index n_rows,
                  StateTile& tile) {
  const DenseTable& table = std::get<DenseTable>(votes.tables[task]);
  const std::int64_t cardinality = votes.cardinalities[task];
  const Index m = votes.n_sources;
  if (table.type == IntType::i8 && table.column_stride == 1 && table.row_stride >= m) {
    const auto* first = reinterpret_cast<const std::int8_t*>(table.data) + begin * table.row_stride;
    const Index readable = (votes.n_items - 1 - begin) * table.row_stride + m;
    return simd::loops().transpose_labels(
               first, static_cast<std::ptrdiff_t>(table.row_stride),
               static_cast<std::size_t>(n_rows), static_cast<std::size_t>(m),
               static_cast<std::size_t>(readable), tile.states.data(),
               static_cast<std::size_t>(tile.stride), byte_limit(cardinality)) != 0;
  }
  const Index size = with_int_type(table.type, [](auto zero) { return Index{sizeof zero}; });
  if (narrowing(table.type) != nullptr &&
      (table.column_stride == size || table.row_stride == size)) {
    return wide_states(table, m, begin, n_rows, cardinality, tile);
  }
  bool bad = false;
  for (Index j = 0; j < m; ++j) {
    std::uint8_t* states = tile.states.data() + j * tile.stride;
    if (table.type == IntType::i8 && table.row_stride == 1) {
      const auto* column =
          reinterpret_cast<const std::int8_t*>(table.data) + begin + j * table.column_stride;
      bad |= simd::loops().shift_labels(column, static_cast<std::size_t>(n_rows), states,
                                        byte_limit(cardinality)) != 0;
    } else {
      bad |= with_int_type(table.type, [&](auto zero) {
        return column_states<decltype(zero)>(table, j, begin, n_rows, cardinality, states);
      });
    }
  }
  return bad;
}

void resize(StateTile& tile, Index n_rows, Index n_columns) {
  tile.n_rows = n_rows;
  tile.stride = StateTile::stride_for(n_rows);
  tile.states.resize(static_cast<std::size_t>(tile.stride * n_columns));
}

/// Whether all tables are dense and their keys together fit into a byte.
bool has_byte_keys(const VoteView& votes) {
  VoteKey n_keys = 1;
  for (const std::int32_t cardinality : votes.cardinalities) {
    n_keys = std::min<VoteKey>(n_keys * (static_cast<VoteKey>(cardinality) + 1), 257);
  }
  return n_keys <= 256 && std::all_of(votes.tables.begin(), votes.tables.end(), [](const auto& t) {
           return std::holds_alternative<DenseTable>(t);
         });
}

/// The keys of a block of rows, where they fit into a byte: as `KeyBlock`, many at once.
void read_byte_keys(const VoteView& votes, const std::vector<VoteKey>& strides, Index begin,
                    Index n_rows, StateTile& keys) {
  resize(keys, n_rows, votes.n_sources);
  bool bad = dense_states(votes, 0, begin, n_rows, keys);  // the stride of the first task is 1
  for (std::size_t task = 1; task < votes.tables.size(); ++task) {
    keys.states.swap(keys.of_task);
    resize(keys, n_rows, votes.n_sources);
    bad |= dense_states(votes, task, begin, n_rows, keys);
    keys.states.swap(keys.of_task);
    simd::loops().add_multiples(keys.of_task.data(), keys.states.size(),
                                static_cast<std::uint8_t>(strides[task]), keys.states.data());
  }
  if (bad) throw_label_out_of_range(votes, begin, n_rows);
}

/// How often each source casts each key. A source casts few: they are looked for one by one.
class ByteKeyCounts {
 public:
  explicit ByteKeyCounts(Index m) : counts_(static_cast<std::size_t>(m)), met_(counts_.size()) {}

  void add(const StateTile& keys) {
    for (std::size_t j = 0; j < counts_.size(); ++j) add(keys, j);
  }
  std::int64_t count(std::size_t source, std::size_t key) const { return counts_[source][key]; }

 private:
  static constexpr std::size_t kFewKeys = 24;  // beyond, rows are looked at one by one: measured

  void add(const StateTile& keys, std::size_t source) {
    const std::uint8_t* bytes = keys.source(static_cast<Index>(source));
    std::array<std::int64_t, 256>& counts = counts_[source];
    left_.assign(static_cast<std::size_t>((keys.n_rows + 63) / 64), ~std::uint64_t{0});
    if (keys.n_rows % 64 != 0) left_.back() >>= 64 - keys.n_rows % 64;
    Index n_left = keys.n_rows;
    const auto take = [&](std::uint8_t key) {
      const std::uint64_t n = simd::loops().take_equal(bytes, left_.size(), key, left_.data());
      counts[key] += static_cast<std::int64_t>(n);
      n_left -= static_cast<Index>(n);
    };
    std::vector<std::uint8_t>& met = met_[source];
    for (std::size_t i = 0; i < met.size() && n_left > 0; ++i) take(met[i]);
    for (std::size_t w = 0; n_left > 0; w += left_[w] == 0 ? 1 : 0) {
      if (left_[w] == 0) continue;
      const std::uint8_t key = bytes[64 * w + static_cast<std::size_t>(std::countr_zero(left_[w]))];
      if (met.size() < kFewKeys) {
        met.push_back(key);
        take(key);
      } else {
        ++counts[key];
        left_[w] &= left_[w] - 1;
        --n_left;
      }
    }
  }

  std::vector<std::array<std::int64_t, 256>> counts_;
  std::vector<std::vector<std::uint8_t>> met_;  // keys of each source, the first ones met
  std::vector<std::uint64_t> left_;             // rows whose keys are still to be counted
};

VoteVectors byte_vote_vectors(const VoteView& votes, const std::vector<VoteKey>& strides,
                              const Execution& execution) {
  const auto m = static_cast<std::size_t>(votes.n_sources);
  const Blocks blocks(votes);
  const auto workers = static_cast<std::size_t>(n_workers(blocks.n, execution));
  std::vector<ByteKeyCounts> counts(workers, ByteKeyCounts(votes.n_sources));
  std::vector<StateTile> tiles(workers);
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    const auto w = static_cast<std::size_t>(worker);
    read_byte_keys(votes, strides, blocks.begin(block), blocks.size(block), tiles[w]);
    counts[w].add(tiles[w]);
  });
  VoteVectors result;
  std::vector<std::int64_t> of_sources(m);
  for (std::size_t key = 1; key < 256; ++key) {
    std::int64_t total = 0;
    for (std::size_t j = 0; j < m; ++j) {
      of_sources[j] = 0;
      for (const ByteKeyCounts& of_worker : counts) of_sources[j] += of_worker.count(j, key);
      total += of_sources[j];
    }
    if (total == 0) continue;
    result.keys.push_back(key);
    result.counts.insert(result.counts.end(), of_sources.begin(), of_sources.end());
  }
  return result;
}

/// Lists the votes of a dense table of any layout; returns whether a label is out of range.
template <class T>
bool list_table(const DenseTable& table, Index n_sources, Index begin, Index n_rows,
                std::int64_t cardinality, StateRows& rows) {
  bool bad = false;
  std::size_t n_votes = 0;
  rows.start[0] = 0;
  for (Index r = 0; r < n_rows; ++r) {
    const std::byte* of_row = table.data + (begin + r) * table.row_stride;
    for (Index j = 0; j < n_sources; ++j) {
      const std::int64_t label = load<T>(of_row + j * table.column_stride);
      bad |= is_out_of_range(label, cardinality);
      // Written always, kept only if it is a vote: no branch to mispredict.
      rows.source[n_votes] = static_cast<std::int32_t>(j);
      rows.state[n_votes] = state_of<std::int32_t>(label);
      n_votes += label != -1 ? 1 : 0;
    }
    rows.start[static_cast<std::size_t>(r) + 1] = static_cast<std::int64_t>(n_votes);
  }
  return bad;
}

}  // namespace

void check_sparse_structure(const SparseTable& table, Index n_items, Index n_sources,
                            Index n_stored) {
  const auto reject = [](Index row, const std::string& rule) {
    throw std::invalid_argument("row " + std::to_string(row) + " of the CSR table: " + rule);
  };
  with_int_type(table.indptr.type, [&](auto p) {
    with_int_type(table.indices.type, [&](auto i) {
      if (load<decltype(p)>(table.indptr, 0) != 0) reject(0, "indptr must start at 0");
      for (Index row = 0; row < n_items; ++row) {
        const Index start = load<decltype(p)>(table.indptr, row);
        const Index stop = load<decltype(p)>(table.indptr, row + 1);
        if (stop < start || stop > n_stored) {
          reject(row, "indptr must not decrease nor pass the number of stored votes, got " +
                          std::to_string(start) + ", " + std::to_string(stop));
        }
        Index previous = -1;
        for (Index at = start; at < stop; ++at) {
          const Index source = load<decltype(i)>(table.indices, at);
          if (source <= previous || source >= n_sources) {
            reject(row, "indices must be sorted, unique and in [0, " + std::to_string(n_sources) +
                            "), got " + std::to_string(source));
          }
          previous = source;
        }
      }
    });
  });
}

std::vector<std::int64_t> largest_labels(const VoteView& votes, const Execution& execution) {
  const std::size_t n_tasks = votes.tables.size();
  const Blocks blocks(votes);
  std::vector<std::vector<std::int64_t>> found(
      static_cast<std::size_t>(n_workers(blocks.n, execution)),
      std::vector<std::int64_t>(n_tasks, -1));
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    const Index begin = blocks.begin(block), n_rows = blocks.size(block);
    for (std::size_t task = 0; task < n_tasks; ++task) {
      std::int64_t largest = -1;
      bool bad = false;
      const auto see_bytes = [&](const std::byte* labels, Index n) {
        const auto* bytes = reinterpret_cast<const std::int8_t*>(labels);
        const std::int64_t found_here =
            std::int64_t{simd::loops().largest_state(bytes, static_cast<std::size_t>(n))} - 1;
        largest = std::max(largest, found_here);
        bad |= found_here > INT8_MAX;
      };
      const auto see = [&](Index, Index, std::int64_t label) {
        bad |= label < -1;
        largest = std::max(largest, label);
      };
      const auto* dense = std::get_if<DenseTable>(&votes.tables[task]);
      const bool is_bytes = dense != nullptr && dense->type == IntType::i8;
      if (is_bytes && dense->column_stride == 1 && dense->row_stride == votes.n_sources) {
        see_bytes(dense->data + begin * votes.n_sources, n_rows * votes.n_sources);
      } else if (is_bytes && dense->row_stride == 1) {
        for (Index j = 0; j < votes.n_sources; ++j) {
          see_bytes(dense->data + begin + j * dense->column_stride, n_rows);
        }
      } else if (dense != nullptr && std::abs(dense->row_stride) < std::abs(dense->column_stride)) {
        // As a table of one source a row: its labels are read in the order in which they lie.
        const DenseTable columns{dense->data + begin * dense->row_stride, dense->type,
                                 dense->column_stride, dense->row_stride};
        for_each_entry(columns, n_rows, 0, votes.n_sources, see);
      } else {
        for_each_label(votes, task, begin, n_rows, see);
      }
      if (bad || largest >= votes.cardinalities[task]) {
        throw_label_out_of_range(votes, begin, n_rows);
      }
      std::int64_t& of_task = found[static_cast<std::size_t>(worker)][task];
      of_task = std::max(of_task, largest);
    }
  });
  for (const std::vector<std::int64_t>& of_worker : found) {
    for (std::size_t task = 0; task < n_tasks; ++task) {
      found[0][task] = std::max(found[0][task], of_worker[task]);
    }
  }
  return found[0];
}

std::vector<VoteKey> key_strides(const std::vector<std::int32_t>& cardinalities) {
  std::vector<VoteKey> strides;
  VoteKey product = 1;
  for (const std::int32_t cardinality : cardinalities) {
    strides.push_back(product);
    const VoteKey factor = static_cast<VoteKey>(cardinality) + 1;
    if (product > (VoteKey{1} << 62) / factor) {
      throw std::invalid_argument("the tasks have more than 2^62 vote vectors");
    }
    product *= factor;
  }
  return strides;
}

VoteVectors vote_vectors(const VoteView& votes, const Execution& execution) {
  const std::vector<VoteKey> strides = key_strides(votes.cardinalities);
  if (has_byte_keys(votes)) return byte_vote_vectors(votes, strides, execution);
  const auto m = static_cast<std::size_t>(votes.n_sources);
  const Blocks blocks(votes);
  using Counts = std::unordered_map<VoteKey, std::vector<std::int64_t>>;
  std::vector<Counts> counts(static_cast<std::size_t>(n_workers(blocks.n, execution)));
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    Counts& mine = counts[static_cast<std::size_t>(worker)];
    const KeyBlock keys(votes, strides, blocks.begin(block), blocks.size(block));
    VoteKey last_key = 0;
    std::vector<std::int64_t>* last = nullptr;
    for (std::size_t j = 0; j < m; ++j) {
      const VoteKey* of_source = keys.source(static_cast<Index>(j));
      for (Index r = 0; r < blocks.size(block); ++r) {
        if (of_source[r] == 0) continue;
        if (last == nullptr || of_source[r] != last_key) {
          last_key = of_source[r];
          last = &mine.try_emplace(last_key, m, 0).first->second;
        }
        ++(*last)[j];
      }
    }
  });
  Counts& all = counts[0];
  for (std::size_t worker = 1; worker < counts.size(); ++worker) {
    for (const auto& [key, of_sources] : counts[worker]) {
      std::vector<std::int64_t>& total = all.try_emplace(key, m, 0).first->second;
      for (std::size_t j = 0; j < m; ++j) total[j] += of_sources[j];
    }
  }
  VoteVectors result;
  for (const auto& entry : all) result.keys.push_back(entry.first);
  std::sort(result.keys.begin(), result.keys.end());
  for (const VoteKey key : result.keys) {
    const std::vector<std::int64_t>& of_sources = all.at(key);
    result.counts.insert(result.counts.end(), of_sources.begin(), of_sources.end());
  }
  return result;
}

StateCoding StateCoding::of_one_task(std::int32_t cardinality) {
  StateCoding coding;
  coding.is_identity_ = true;
  coding.n_source_states_ = cardinality + 1;
  return coding;
}

StateCoding::StateCoding(std::vector<VoteKey> keys, std::vector<std::int32_t> states,
                         VoteKey n_keys, std::int32_t n_states)
    : n_source_states_(n_states) {
  if (n_keys <= kMaxDirectKeys) direct_.assign(n_keys, 0);
  for (std::size_t q = 0; q < keys.size(); ++q) {
    if (direct_.empty()) {
      scattered_.emplace(keys[q], states[q]);
    } else {
      direct_.at(keys[q]) = states[q];
    }
  }
}

std::int32_t StateCoding::operator()(VoteKey key) const {
  if (is_identity_) return static_cast<std::int32_t>(key);
  if (!direct_.empty()) return direct_[key];
  const auto found = scattered_.find(key);
  return found == scattered_.end() ? 0 : found->second;
}

StateCoding StateCoding::with_components(Components components) const {
  if (components.n_components < 1) throw std::invalid_argument("n_components must be at least 1");
  const auto n_states = static_cast<std::size_t>(n_source_states_);
  const auto n_parts = components.component_of.size();
  const auto require = [](bool holds, const char* rule) {
    if (!holds) throw std::invalid_argument(rule);
  };
  const auto& start = components.start;
  require(!start.empty() && start.front() == 0 && std::is_sorted(start.begin(), start.end()) &&
              static_cast<std::size_t>(start.back()) == n_parts,
          "start must not decrease, from 0 to the length of component_of");
  require(components.contribution.size() == n_parts * n_states,
          "contribution must be (n_parts, n_states of a source)");
  std::vector<std::int64_t> largest(static_cast<std::size_t>(components.n_components), 0);
  for (std::size_t part = 0; part < n_parts; ++part) {
    const std::int32_t component = components.component_of[part];
    require(component >= 0 && component < components.n_components,
            "component_of must lie in [0, n_components)");
    const auto first =
        components.contribution.begin() + static_cast<std::ptrdiff_t>(part * n_states);
    const auto [low, high] = std::minmax_element(first, first + n_source_states_);
    require(*low >= 0 && *first == 0, "contributions must not be negative, and 0 for state 0");
    largest[static_cast<std::size_t>(component)] += *high;
  }
  for (const std::int64_t state : largest) {
    require(state < components.n_states, "the states of a component must lie in [0, n_states)");
  }
  StateCoding coding = *this;
  coding.components_ = std::move(components);
  return coding;
}

StateReader::StateReader(const VoteView& votes, const StateCoding& coding)
    : votes_(votes), coding_(coding), strides_(key_strides(votes.cardinalities)) {
  if (coding.is_identity() &&
      (votes.tables.size() != 1 || coding.n_source_states() <= votes.cardinalities[0])) {
    throw std::invalid_argument("the coding is of one task with fewer labels than the votes");
  }
  const Components* components = coding.components();
  if (components != nullptr &&
      static_cast<Index>(components->start.size()) != votes.n_sources + 1) {
    throw std::invalid_argument("start must have one entry for each source, and one more");
  }
  byte_keys_ = !coding.is_identity() && coding.n_source_states() <= 256 && has_byte_keys(votes);
  if (!byte_keys_) return;
  n_byte_keys_ = 1;
  for (const std::int32_t cardinality : votes.cardinalities) {
    n_byte_keys_ *= static_cast<std::size_t>(cardinality) + 1;
  }
  for (VoteKey key = 0; key < n_byte_keys_; ++key) {
    state_of_byte_key_[key] = static_cast<std::uint8_t>(coding(key));
  }
}

Index StateReader::n_columns() const {
  const Components* components = coding_.components();
  return components == nullptr ? votes_.n_sources : components->n_components;
}

bool StateReader::is_sparse() const {
  return std::any_of(votes_.tables.begin(), votes_.tables.end(), [](const VoteTable& table) {
    return std::holds_alternative<SparseTable>(table);
  });
}

void StateReader::read_sources(Index begin, Index n_rows, StateTile& tile) const {
  const Index m = votes_.n_sources;
  resize(tile, n_rows, m);
  bool bad = false;
  const auto clear_padding = [&] {
    for (Index j = 0; j < m; ++j) {
      std::fill(tile.states.begin() + j * tile.stride + n_rows,
                tile.states.begin() + (j + 1) * tile.stride, std::uint8_t{0});
    }
  };
  if (!coding_.is_identity() && byte_keys_) {
    read_byte_keys(votes_, strides_, begin, n_rows, tile);
    simd::loops().look_up(tile.states.data(), tile.states.size() / 64, state_of_byte_key_.data(),
                          n_byte_keys_);
    clear_padding();
  } else if (!coding_.is_identity()) {
    const KeyBlock keys(votes_, strides_, begin, n_rows);
    for (Index j = 0; j < m; ++j) {
      const VoteKey* of_source = keys.source(j);
      std::uint8_t* states = tile.states.data() + j * tile.stride;
      for (Index r = 0; r < n_rows; ++r) {
        states[r] = static_cast<std::uint8_t>(coding_(of_source[r]));
      }
    }
    clear_padding();
  } else if (std::holds_alternative<DenseTable>(votes_.tables[0])) {
    bad = dense_states(votes_, 0, begin, n_rows, tile);
    clear_padding();
  } else {
    std::fill(tile.states.begin(), tile.states.end(), std::uint8_t{0});
    for_each_stored(std::get<SparseTable>(votes_.tables[0]), begin, n_rows,
                    [&](Index row, Index source, std::int64_t label) {
                      bad |= is_out_of_range(label, votes_.cardinalities[0]);
                      tile.states[static_cast<std::size_t>(source * tile.stride + row - begin)] =
                          state_of<std::uint8_t>(label);
                    });
  }
  if (bad) throw_label_out_of_range(votes_, begin, n_rows);
}

void StateReader::read_sources(Index begin, Index n_rows, StateRows& rows) const {
  const auto* dense = std::get_if<DenseTable>(&votes_.tables[0]);
  if (coding_.is_identity() && dense != nullptr) {
    if (list_dense(*dense, begin, n_rows, rows)) throw_label_out_of_range(votes_, begin, n_rows);
    return;
  }
  rows.start.assign(1, 0);
  rows.source.clear();
  rows.state.clear();
  const auto add = [&](Index source, std::int32_t state) {
    if (state == 0) return;
    rows.source.push_back(static_cast<std::int32_t>(source));
    rows.state.push_back(state);
  };
  const auto end_row = [&] { rows.start.push_back(static_cast<std::int64_t>(rows.source.size())); };

  if (!coding_.is_identity()) {
    const KeyBlock keys(votes_, strides_, begin, n_rows);
    for (Index r = 0; r < n_rows; ++r) {
      for (Index j = 0; j < votes_.n_sources; ++j) {
        const VoteKey key = keys.source(j)[r];
        if (key != 0) add(j, coding_(key));
      }
      end_row();
    }
    return;
  }
  bool bad = false;
  Index current = begin;
  for_each_stored(std::get<SparseTable>(votes_.tables[0]), begin, n_rows,
                  [&](Index row, Index source, std::int64_t label) {
                    for (; current < row; ++current) end_row();
                    bad |= is_out_of_range(label, votes_.cardinalities[0]);
                    add(source, state_of<std::int32_t>(label));
                  });
  for (; current < begin + n_rows; ++current) end_row();
  if (bad) throw_label_out_of_range(votes_, begin, n_rows);
}

/// Calls `add` with each component that the source is part of and what its state adds there.
template <class Add>
void StateReader::for_each_part(std::int32_t source, std::int32_t state, const Add& add) const {
  const Components& components = *coding_.components();
  const auto j = static_cast<std::size_t>(source);
  const auto end = static_cast<std::size_t>(components.start[j + 1]);
  const auto n_states = static_cast<std::size_t>(coding_.n_source_states());
  for (auto part = static_cast<std::size_t>(components.start[j]); part < end; ++part) {
    add(components.component_of[part],
        components.contribution[part * n_states + static_cast<std::size_t>(state)]);
  }
}

void StateReader::read(Index begin, Index n_rows, StateTile& tile) const {
  const Components* components = coding_.components();
  if (components == nullptr) return read_sources(begin, n_rows, tile);
  StateRows rows;
  read_sources(begin, n_rows, rows);
  tile.n_rows = n_rows;
  tile.stride = StateTile::stride_for(n_rows);
  tile.states.assign(static_cast<std::size_t>(tile.stride * components->n_components), 0);
  for (Index r = 0; r < n_rows; ++r) {
    const auto i = static_cast<std::size_t>(r);
    for (auto v = static_cast<std::size_t>(rows.start[i]);
         v < static_cast<std::size_t>(rows.start[i + 1]); ++v) {
      for_each_part(rows.source[v], rows.state[v], [&](std::int32_t component, std::int32_t added) {
        const Index at = Index{component} * tile.stride + r;
        std::uint8_t& state = tile.states[static_cast<std::size_t>(at)];
        state = static_cast<std::uint8_t>(state + added);
      });
    }
  }
}

void StateReader::read(Index begin, Index n_rows, StateRows& rows) const {
  const Components* components = coding_.components();
  if (components == nullptr) return read_sources(begin, n_rows, rows);
  StateRows of_sources;
  read_sources(begin, n_rows, of_sources);
  rows.start.assign(1, 0);
  rows.source.clear();
  rows.state.clear();
  std::vector<std::int32_t> state(static_cast<std::size_t>(components->n_components), 0);
  std::vector<std::int32_t> voting;
  for (Index r = 0; r < n_rows; ++r) {
    const auto i = static_cast<std::size_t>(r);
    voting.clear();
    for (auto v = static_cast<std::size_t>(of_sources.start[i]);
         v < static_cast<std::size_t>(of_sources.start[i + 1]); ++v) {
      for_each_part(of_sources.source[v], of_sources.state[v],
                    [&](std::int32_t component, std::int32_t added) {
                      std::int32_t& own = state[static_cast<std::size_t>(component)];
                      if (own == 0 && added != 0) voting.push_back(component);
                      own += added;
                    });
    }
    std::sort(voting.begin(), voting.end());
    for (const std::int32_t component : voting) {
      std::int32_t& own = state[static_cast<std::size_t>(component)];
      rows.source.push_back(component);
      rows.state.push_back(own);
      own = 0;
    }
    rows.start.push_back(static_cast<std::int64_t>(rows.source.size()));
  }
}

bool StateReader::list_dense(const DenseTable& table, Index begin, Index n_rows,
                             StateRows& rows) const {
  const Index m = votes_.n_sources;
  const auto n_cells = static_cast<std::size_t>(n_rows * m) + 16;  // what `list_votes` writes
  rows.start.resize(static_cast<std::size_t>(n_rows) + 1);
  if (rows.source.size() < n_cells) {
    rows.source.resize(n_cells);
    rows.state.resize(n_cells);
  }
  if (table.type == IntType::i8 && table.column_stride == 1 && table.row_stride >= m) {
    const auto* first = reinterpret_cast<const std::int8_t*>(table.data) + begin * table.row_stride;
    const Index readable = (votes_.n_items - 1 - begin) * table.row_stride + m;
    return simd::loops().list_votes(first, static_cast<std::ptrdiff_t>(table.row_stride),
                                    static_cast<std::size_t>(n_rows), static_cast<std::size_t>(m),
                                    static_cast<std::size_t>(readable),
                                    byte_limit(votes_.cardinalities[0]), rows.start.data(),
                                    rows.source.data(), rows.state.data()) != 0;
  }
  return with_int_type(table.type, [&](auto zero) {
    return list_table<decltype(zero)>(table, m, begin, n_rows, votes_.cardinalities[0], rows);
  });
}

std::vector<std::int32_t> read_states(const StateReader& reader, const Execution& execution) {
  const Index n_columns = reader.n_columns();
  const Blocks blocks(reader.votes());
  std::vector<std::int32_t> states(static_cast<std::size_t>(blocks.n_items * n_columns), 0);
  for_each_chunk(blocks.n, execution, [&](Index block, int) {
    StateRows rows;
    reader.read(blocks.begin(block), blocks.size(block), rows);
    std::int32_t* row = states.data() + blocks.begin(block) * n_columns;
    for (Index r = 0; r < blocks.size(block); ++r, row += n_columns) {
      const auto first = static_cast<std::size_t>(rows.start[static_cast<std::size_t>(r)]);
      const auto last = static_cast<std::size_t>(rows.start[static_cast<std::size_t>(r) + 1]);
      for (std::size_t v = first; v < last; ++v) row[rows.source[v]] = rows.state[v];
    }
  });
  return states;
}

}  // namespace consilience
