#include "consilience/patterns.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <utility>

#include "blocks.hpp"
#include "consilience/parallel.hpp"
#include "distinct_keys.hpp"
#include "pattern_votes.hpp"
#include "row_index.hpp"
#include "row_keys.hpp"
#include "simd/loops.hpp"

namespace consilience {

namespace {

constexpr Index kMostCounted = Index{1} << 20;   // rows there can be that are counted one by one
constexpr Index kMostCounters = Index{1} << 23;  // 32 MiB
constexpr Index kSlab = Index{1} << 21;          // rows sorted at a time: 32 MiB

/// Rows there can be, at most `limit + 1`.
Index count_possible_rows(const StateReader& reader, Index limit) {
  Index n = 1;
  for (Index j = 0; j < reader.n_columns() && n <= limit; ++j) n *= reader.coding().n_states();
  return std::min(n, limit + 1);
}

/// A counter for each of the `n_possible` rows there can be; those that occur go to `distinct`.
void count_possible(const StateReader& reader, const ItemWeights& weights, Index n_possible,
                    const RowKeys& rows, const Execution& execution, DistinctKeys& distinct) {
  struct Worker {
    StateTile tile;
    std::vector<std::uint32_t> codes;
    std::vector<std::uint32_t> counts;
  };
  const Index m = reader.n_columns();
  const std::int32_t n_states = reader.coding().n_states();
  const Blocks blocks(reader.votes());
  // Weights are summed in the order of the items; the counters of all workers together stay small.
  const int most = weights.are_equal() ? static_cast<int>(kMostCounters / n_possible) : 1;
  const Execution threads{std::min(execution.n_threads, most), execution.poll};
  std::vector<Worker> workers(static_cast<std::size_t>(n_workers(blocks.n, threads)));
  std::vector<double> sums(static_cast<std::size_t>(weights.are_equal() ? 0 : n_possible), 0.0);
  for_each_chunk(blocks.n, threads, [&](Index block, int w) {
    Worker& worker = workers[static_cast<std::size_t>(w)];
    worker.codes.resize(static_cast<std::size_t>(blocks.rows));
    worker.counts.resize(static_cast<std::size_t>(n_possible));
    const Index begin = blocks.begin(block), n_rows = blocks.size(block);
    reader.read(begin, n_rows, worker.tile);
    simd::loops().row_codes(worker.tile.states.data(), static_cast<std::size_t>(worker.tile.stride),
                            static_cast<std::size_t>(n_rows), static_cast<std::size_t>(m),
                            static_cast<std::uint32_t>(n_states), worker.codes.data());
    for (Index r = 0; r < n_rows; ++r) ++worker.counts[worker.codes[static_cast<std::size_t>(r)]];
    if (weights.are_equal()) return;
    for (Index r = 0; r < n_rows; ++r) {
      sums[worker.codes[static_cast<std::size_t>(r)]] += weights(begin + r);
    }
  });
  std::vector<std::uint64_t> keys;
  std::vector<double> totals;
  for (Index code = 0; code < n_possible; ++code) {
    std::int64_t count = 0;
    for (const Worker& worker : workers) {
      if (!worker.counts.empty()) count += worker.counts[static_cast<std::size_t>(code)];
    }
    if (count == 0) continue;
    std::uint64_t key = 0;
    for (Index j = m, rest = code; j-- > 0; rest /= n_states) {
      key |= rows.of_vote(j, static_cast<std::int32_t>(rest % n_states));
    }
    keys.push_back(key);
    totals.push_back(weights.are_equal() ? static_cast<double>(count)
                                         : sums[static_cast<std::size_t>(code)]);
  }
  distinct.add(
      static_cast<Index>(keys.size()), Blocks::kMaxRows, totals.data(), execution,
      [&](Index begin, Index n, std::uint64_t* to) { std::copy_n(keys.begin() + begin, n, to); });
}

void sort_keys(const StateReader& reader, const ItemWeights& weights, const RowKeys& rows,
               Index at_most, const Execution& execution, DistinctKeys& distinct) {
  std::vector<double> of_slab;
  const Index n = reader.votes().n_items, block = Blocks(reader.votes()).rows;
  for (Index first = 0; first < n && distinct.size() <= at_most; first += kSlab) {
    const Index n_slab = std::min(kSlab, n - first);
    of_slab.resize(static_cast<std::size_t>(weights.are_equal() ? 0 : n_slab));
    for (std::size_t r = 0; r < of_slab.size(); ++r) {
      of_slab[r] = weights(first + static_cast<Index>(r));
    }
    distinct.add(n_slab, block, weights.are_equal() ? nullptr : of_slab.data(), execution,
                 [&](Index begin, Index n_rows, std::uint64_t* keys) {
                   StateTile tile;
                   reader.read(first + begin, n_rows, tile);
                   rows.of_tile(tile, keys);
                 });
  }
}

/// The distinct keys, which are left empty, as patterns.
void take_keys(DistinctKeys& distinct, const RowKeys& rows, const Execution& execution,
               Patterns& patterns) {
  constexpr std::size_t n_buckets = DistinctKeys::kBuckets;
  std::vector<std::size_t> first(n_buckets + 1, 0);
  for (std::size_t b = 0; b < n_buckets; ++b) first[b + 1] = first[b] + distinct.size(b);
  patterns.keys.resize(first.back());
  patterns.weight.resize(first.back());
  std::vector<Index> n_votes(n_buckets, 0);
  for_each_chunk(n_buckets, execution, [&](Index b, int) {
    const auto bucket = static_cast<std::size_t>(b);
    distinct.take(bucket, patterns.keys.data() + first[bucket],
                  patterns.weight.data() + first[bucket]);
    for (std::size_t u = first[bucket]; u < first[bucket + 1]; ++u) {
      n_votes[bucket] += rows.count_votes(patterns.keys[u]);
    }
  });
  patterns.n_votes = std::accumulate(n_votes.begin(), n_votes.end(), Index{0});
}

/// Rows of any width, by hashing, in the order in which they first occur.
void hash_rows(const StateReader& reader, const ItemWeights& weights, Index at_most,
               const Execution& execution, Patterns& patterns) {
  RowIndex index;
  const Blocks blocks(reader.votes());
  StateRows rows;
  for (Index block = 0; block < blocks.n && index.size() <= at_most; ++block) {
    reader.read(blocks.begin(block), blocks.size(block), rows);
    for (Index r = 0; r < blocks.size(block); ++r) {
      const auto begin = static_cast<std::size_t>(rows.start[static_cast<std::size_t>(r)]);
      const auto end = static_cast<std::size_t>(rows.start[static_cast<std::size_t>(r) + 1]);
      const Index pattern =
          index.find_or_add(rows.source.data() + begin, rows.state.data() + begin, end - begin);
      const double weight = weights(blocks.begin(block) + r);
      if (pattern == patterns.size()) patterns.weight.push_back(0.0);
      patterns.weight[static_cast<std::size_t>(pattern)] += weight;
    }
    if (execution.poll) execution.poll();
  }
  patterns.start = index.start();
  patterns.column = std::move(index.columns());
  patterns.state = std::move(index.states());
  patterns.n_votes = patterns.start.back();
}

/// Patterns in stretches that workers take one by one.
struct Stretches {
  static constexpr Index kSize = Index{1} << 12;

  explicit Stretches(Index size) : n_patterns(size), n((size + kSize - 1) / kSize) {}
  Index begin(Index stretch) const { return stretch * kSize; }
  Index size(Index stretch) const { return std::min(kSize, n_patterns - begin(stretch)); }

  Index n_patterns, n;
};

/// Calls `body(votes, r, weight)` for every pattern in order, the r-th of those listed.
template <class Body>
void for_each_row(const Patterns& patterns, const Body& body) {
  const Stretches stretches(patterns.size());
  PatternVotes votes(patterns);
  for (Index stretch = 0; stretch < stretches.n; ++stretch) {
    const Index begin = stretches.begin(stretch), n = stretches.size(stretch);
    votes.list(begin, n);
    for (Index r = 0; r < n; ++r) {
      body(votes, r, patterns.weight[static_cast<std::size_t>(begin + r)]);
    }
  }
}

/// Bits that look drawn at random: the finaliser of SplitMix64.
std::uint64_t scrambled(std::uint64_t bits) {
  bits += 0x9e3779b97f4a7c15U;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9U;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebU;
  return bits ^ (bits >> 31);
}

/// What each of the 256 values of every byte of a key stands for: calls `body(byte, value, cell)`
/// for each of its votes.
template <class Body>
void for_each_byte(const Patterns& patterns, const RowKeys& rows, const Body& body) {
  std::vector<std::int32_t> column(static_cast<std::size_t>(patterns.n_columns)),
      state(column.size());
  for (int byte = 0; byte < rows.n_bytes(); ++byte) {
    for (std::uint64_t value = 1; value < 256; ++value) {
      const Index n = rows.list_votes(value << (8 * byte), column.data(), state.data());
      for (std::size_t v = 0; v < static_cast<std::size_t>(n); ++v) {
        if (state[v] >= patterns.n_states) continue;  // no key has this value
        body(static_cast<std::size_t>(byte), static_cast<std::size_t>(value),
             static_cast<std::size_t>(Index{column[v]} * patterns.n_states + state[v]));
      }
    }
  }
}

/// Rows in which each cell occurs, (n_columns, n_states).
std::vector<std::uint64_t> count_cells(const Patterns& patterns, const Execution& execution) {
  const Stretches stretches(patterns.size());
  std::optional<RowKeys> rows;
  if (patterns.is_keyed()) rows.emplace(patterns.n_columns, patterns.n_states);
  const auto n_cells = static_cast<std::size_t>(patterns.n_columns * patterns.n_states);
  const std::size_t n_counts = rows ? 256 * static_cast<std::size_t>(rows->n_bytes()) : n_cells;
  std::vector<std::vector<std::uint64_t>> parts(
      static_cast<std::size_t>(n_workers(stretches.n, execution)));
  for_each_chunk(stretches.n, execution, [&](Index stretch, int worker) {
    auto& own = parts[static_cast<std::size_t>(worker)];
    own.resize(n_counts);
    const Index begin = stretches.begin(stretch), n = stretches.size(stretch);
    if (rows) {
      for (Index u = begin; u < begin + n; ++u) {
        std::uint64_t key = patterns.keys[static_cast<std::size_t>(u)];
        for (std::size_t at = 0; at < n_counts; at += 256, key >>= 8) ++own[at + (key & 0xff)];
      }
      return;
    }
    PatternVotes votes(patterns);
    votes.list(begin, n);
    for (std::size_t v = votes.begin(0); v < votes.end(n - 1); ++v) {
      ++own[static_cast<std::size_t>(votes.cell(v))];
    }
  });
  std::vector<std::uint64_t> counts(n_counts, 0);
  for (const auto& own : parts) {
    for (std::size_t c = 0; c < own.size(); ++c) counts[c] += own[c];
  }
  if (!rows) return counts;
  std::vector<std::uint64_t> of_cells(n_cells, 0);
  for_each_byte(patterns, *rows, [&](std::size_t byte, std::size_t value, std::size_t cell) {
    of_cells[cell] += counts[256 * byte + value];
  });
  return of_cells;
}

/// Sums over the votes of a row of what their cells are worth, modulo 2^64.
class CellSums {
 public:
  CellSums(const Patterns& patterns, const std::vector<std::uint64_t>& worth)
      : patterns_(patterns), worth_(worth) {
    if (!patterns.is_keyed()) return;
    const RowKeys rows(patterns.n_columns, patterns.n_states);
    of_byte_.resize(static_cast<std::size_t>(rows.n_bytes()));
    for_each_byte(patterns, rows, [&](std::size_t byte, std::size_t value, std::size_t cell) {
      of_byte_[byte][value] += worth[cell];
    });
  }

  std::uint64_t of_row(Index row) const {
    std::uint64_t sum = 0;
    if (patterns_.is_keyed()) {
      std::uint64_t key = patterns_.keys[static_cast<std::size_t>(row)];
      for (const auto& table : of_byte_) {
        sum += table[key & 0xff];
        key >>= 8;
      }
      return sum;
    }
    PatternVotes votes(patterns_);
    votes.list(row, 1);
    for (std::size_t v = votes.begin(0); v < votes.end(0); ++v) {
      sum += worth_[static_cast<std::size_t>(votes.cell(v))];
    }
    return sum;
  }

 private:
  const Patterns& patterns_;
  const std::vector<std::uint64_t>& worth_;
  std::vector<std::array<std::uint64_t, 256>> of_byte_;
};

/// Appends rows to patterns whose columns and states are known.
class Appending {
 public:
  explicit Appending(Patterns& to) : to_(&to) {
    if (RowKeys::fit(to.n_columns, to.n_states)) {
      keys_.emplace(to.n_columns, to.n_states);
    } else {
      to.start.assign(1, 0);
    }
  }

  void vote(Index column, std::int32_t state) {
    ++to_->n_votes;
    if (keys_) {
      key_ |= keys_->of_vote(column, state);
    } else {
      to_->column.push_back(static_cast<std::int32_t>(column));
      to_->state.push_back(state);
    }
  }

  void end_row(double weight) {
    to_->weight.push_back(weight);
    if (keys_) {
      to_->keys.push_back(std::exchange(key_, 0));
    } else {
      to_->start.push_back(to_->n_votes);
    }
  }

 private:
  Patterns* to_;
  std::optional<RowKeys> keys_;
  std::uint64_t key_ = 0;
};

/// All patterns of the items; of some of these only, but more than `at_most`, if there are more.
Patterns find_up_to(const StateReader& reader, const ItemWeights& weights, Index at_most,
                    const Execution& execution) {
  Patterns patterns;
  patterns.n_columns = reader.n_columns();
  patterns.n_states = reader.coding().n_states();
  if (!RowKeys::fit(patterns.n_columns, patterns.n_states)) {
    hash_rows(reader, weights, at_most, execution, patterns);
    return patterns;
  }
  const RowKeys rows(patterns.n_columns, patterns.n_states);
  DistinctKeys distinct(rows.n_bits());
  const Index n = reader.votes().n_items, n_possible = count_possible_rows(reader, kMostCounted);
  if (n_possible <= std::min(n, kMostCounted) && n <= UINT32_MAX) {
    count_possible(reader, weights, n_possible, rows, execution, distinct);
  } else {
    sort_keys(reader, weights, rows, at_most, execution, distinct);
  }
  take_keys(distinct, rows, execution, patterns);
  return patterns;
}

}  // namespace

Patterns find_patterns(const StateReader& reader, const ItemWeights& weights,
                       const Execution& execution) {
  return find_up_to(reader, weights, std::numeric_limits<Index>::max(), execution);
}

std::optional<Patterns> find_few_patterns(const StateReader& reader, const ItemWeights& weights,
                                          Index at_most, const Execution& execution) {
  Patterns patterns = find_up_to(reader, weights, at_most, execution);
  if (patterns.size() > at_most) return std::nullopt;
  return patterns;
}

Patterns select(const Patterns& patterns, const std::vector<std::int64_t>& rows,
                const std::vector<double>& weights, const std::vector<std::uint8_t>& columns) {
  if (rows.size() != weights.size()) throw std::invalid_argument("one weight a row is needed");
  if (static_cast<Index>(columns.size()) != patterns.n_columns) {
    throw std::invalid_argument("columns must be (n_columns,)");
  }
  Patterns chosen;
  chosen.n_states = patterns.n_states;
  std::vector<Index> place;  // of each column among those that stay
  for (const std::uint8_t stays : columns) {
    place.push_back(stays != 0 ? chosen.n_columns++ : -1);
  }
  Appending appending(chosen);
  PatternVotes votes(patterns);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= patterns.size()) {
      throw std::invalid_argument("a row is out of range");
    }
    votes.list(rows[i], 1);
    for (std::size_t v = votes.begin(0); v < votes.end(0); ++v) {
      const Index column = place[static_cast<std::size_t>(votes.column()[v])];
      if (column >= 0) appending.vote(column, votes.state()[v]);
    }
    appending.end_row(weights[i]);
  }
  return chosen;
}

Patterns thinned(const Patterns& patterns, double one_in, const Execution& execution) {
  if (!(one_in > 0)) throw std::invalid_argument("one_in must be positive");
  // A cell is known by the number of rows that it occurs in, in whichever column it stands.
  std::vector<std::uint64_t> mark = count_cells(patterns, execution);
  for (std::uint64_t& of_cell : mark) of_cell = scrambled(of_cell);
  const CellSums sums(patterns, mark);
  struct Drawn {
    std::vector<std::int64_t> rows;
    std::vector<double> weights;
  };
  const Stretches stretches(patterns.size());
  std::vector<Drawn> drawn(static_cast<std::size_t>(stretches.n));
  for_each_chunk(stretches.n, execution, [&](Index stretch, int) {
    Drawn& own = drawn[static_cast<std::size_t>(stretch)];
    const Index begin = stretches.begin(stretch);
    for (Index row = begin; row < begin + stretches.size(stretch); ++row) {
      const double uniform = static_cast<double>(scrambled(sums.of_row(row)) >> 11) * 0x1p-53;
      const double weight =
          std::floor(patterns.weight[static_cast<std::size_t>(row)] / one_in + uniform);
      if (weight < 1) continue;
      own.rows.push_back(row);
      own.weights.push_back(weight);
    }
  });
  std::vector<std::int64_t> rows;
  std::vector<double> weights;
  for (const Drawn& own : drawn) {
    rows.insert(rows.end(), own.rows.begin(), own.rows.end());
    weights.insert(weights.end(), own.weights.begin(), own.weights.end());
  }
  const std::vector<std::uint8_t> all(static_cast<std::size_t>(patterns.n_columns), 1);
  return select(patterns, rows, weights, all);
}

Patterns with_states(const Patterns& patterns, const std::vector<std::int32_t>& number,
                     std::int32_t n_states) {
  if (static_cast<Index>(number.size()) != patterns.n_columns * patterns.n_states) {
    throw std::invalid_argument("number must be (n_columns, n_states)");
  }
  for (const std::int32_t state : number) {
    if (state < 0 || state >= n_states) throw std::invalid_argument("a state is out of range");
  }
  Patterns chosen;
  chosen.n_columns = patterns.n_columns;
  chosen.n_states = n_states;
  Appending appending(chosen);
  for_each_row(patterns, [&](const PatternVotes& votes, Index r, double weight) {
    for (std::size_t v = votes.begin(r); v < votes.end(r); ++v) {
      const std::int32_t state = number[static_cast<std::size_t>(votes.cell(v))];
      if (state != 0) appending.vote(votes.column()[v], state);
    }
    appending.end_row(weight);
  });
  return chosen;
}

Patterns with_column_per_state(const Patterns& patterns, const std::vector<std::uint8_t>& kept) {
  if (static_cast<Index>(kept.size()) != patterns.n_columns * patterns.n_states) {
    throw std::invalid_argument("kept must be (n_columns, n_states)");
  }
  Patterns chosen;
  chosen.n_states = 2;
  std::vector<Index> place;  // of each cell among those that stay
  for (const std::uint8_t stays : kept) {
    place.push_back(stays != 0 ? chosen.n_columns++ : -1);
  }
  Appending appending(chosen);
  for_each_row(patterns, [&](const PatternVotes& votes, Index r, double weight) {
    for (std::size_t v = votes.begin(r); v < votes.end(r); ++v) {
      const Index column = place[static_cast<std::size_t>(votes.cell(v))];
      if (column >= 0) appending.vote(column, 1);
    }
    appending.end_row(weight);
  });
  return chosen;
}

std::vector<std::int64_t> count_votes(const Patterns& patterns) {
  std::vector<std::int64_t> counts;
  counts.reserve(patterns.weight.size());
  for_each_row(patterns, [&](const PatternVotes& votes, Index r, double) {
    counts.push_back(static_cast<std::int64_t>(votes.end(r) - votes.begin(r)));
  });
  return counts;
}

Patterns listed(const Patterns& patterns) {
  if (!patterns.is_keyed()) return patterns;
  Patterns result;
  result.n_columns = patterns.n_columns;
  result.n_states = patterns.n_states;
  result.n_votes = patterns.n_votes;
  result.weight = patterns.weight;
  result.start.reserve(patterns.weight.size() + 1);
  result.column.reserve(static_cast<std::size_t>(patterns.n_votes));
  result.state.reserve(static_cast<std::size_t>(patterns.n_votes));
  result.start.push_back(0);
  for_each_row(patterns, [&](const PatternVotes& votes, Index r, double) {
    result.column.insert(result.column.end(), votes.column() + votes.begin(r),
                         votes.column() + votes.end(r));
    result.state.insert(result.state.end(), votes.state() + votes.begin(r),
                        votes.state() + votes.end(r));
    result.start.push_back(static_cast<std::int64_t>(result.column.size()));
  });
  return result;
}

}  // namespace consilience
