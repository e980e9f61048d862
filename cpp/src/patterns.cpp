#include "consilience/patterns.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "blocks.hpp"
#include "consilience/parallel.hpp"
#include "distinct_keys.hpp"
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
void count_possible(const StateReader& reader, const double* weights, Index n_possible,
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
  const int most = weights == nullptr ? static_cast<int>(kMostCounters / n_possible) : 1;
  const Execution threads{std::min(execution.n_threads, most), execution.poll};
  std::vector<Worker> workers(static_cast<std::size_t>(n_workers(blocks.n, threads)));
  std::vector<double> sums(static_cast<std::size_t>(weights == nullptr ? 0 : n_possible), 0.0);
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
    if (weights == nullptr) return;
    for (Index r = 0; r < n_rows; ++r) {
      sums[worker.codes[static_cast<std::size_t>(r)]] += weights[begin + r];
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
    totals.push_back(weights == nullptr ? static_cast<double>(count)
                                        : sums[static_cast<std::size_t>(code)]);
  }
  distinct.add(
      static_cast<Index>(keys.size()), Blocks::kMaxRows, totals.data(), execution,
      [&](Index begin, Index n, std::uint64_t* to) { std::copy_n(keys.begin() + begin, n, to); });
}

void sort_keys(const StateReader& reader, const double* weights, const RowKeys& rows,
               const Execution& execution, DistinctKeys& distinct) {
  const Index n = reader.votes().n_items, block = Blocks(reader.votes()).rows;
  for (Index first = 0; first < n; first += kSlab) {
    distinct.add(std::min(kSlab, n - first), block, weights == nullptr ? nullptr : weights + first,
                 execution, [&](Index begin, Index n_rows, std::uint64_t* keys) {
                   StateTile tile;
                   reader.read(first + begin, n_rows, tile);
                   rows.of_tile(tile, keys);
                 });
  }
}

/// The rows that the keys stand for.
void list_keys(const DistinctKeys& distinct, const RowKeys& rows, const Execution& execution,
               Patterns& patterns) {
  constexpr std::size_t n_buckets = DistinctKeys::kBuckets;
  std::vector<Index> first(n_buckets + 1, 0), first_vote(n_buckets + 1, 0);
  for_each_chunk(n_buckets, execution, [&](Index b, int) {
    const auto bucket = static_cast<std::size_t>(b);
    const std::size_t size = distinct.bucket(bucket).keys.size();
    first[bucket + 1] = static_cast<Index>(size);
    for (std::size_t i = 0; i < size; ++i) {
      first_vote[bucket + 1] += rows.count_votes(distinct.key(bucket, i));
    }
  });
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::partial_sum(first_vote.begin(), first_vote.end(), first_vote.begin());
  const auto size = static_cast<std::size_t>(first.back());
  const auto n_votes = static_cast<std::size_t>(first_vote.back());
  patterns.keys.resize(size);
  patterns.weight.resize(size);
  patterns.start.resize(size + 1);
  patterns.start.back() = first_vote.back();
  patterns.column.resize(n_votes);
  patterns.state.resize(n_votes);
  for_each_chunk(n_buckets, execution, [&](Index b, int) {
    const auto bucket = static_cast<std::size_t>(b);
    auto pattern = static_cast<std::size_t>(first[bucket]);
    Index vote = first_vote[bucket];
    std::vector<std::int32_t> column(static_cast<std::size_t>(patterns.n_columns)),
        state(column.size());
    for (std::size_t i = 0; i < distinct.bucket(bucket).keys.size(); ++i, ++pattern) {
      const std::uint64_t key = distinct.key(bucket, i);
      patterns.keys[pattern] = key;
      patterns.weight[pattern] = distinct.bucket(bucket).weights[i];
      patterns.start[pattern] = vote;
      const Index n_listed = rows.list_votes(key, column.data(), state.data());
      std::copy_n(column.begin(), n_listed, patterns.column.begin() + vote);
      std::copy_n(state.begin(), n_listed, patterns.state.begin() + vote);
      vote += n_listed;
    }
  });
}

/// Rows of any width, by hashing, in the order in which they first occur.
void hash_rows(const StateReader& reader, const double* weights, const Execution& execution,
               Patterns& patterns) {
  RowIndex index;
  const Blocks blocks(reader.votes());
  StateRows rows;
  for (Index block = 0; block < blocks.n; ++block) {
    reader.read(blocks.begin(block), blocks.size(block), rows);
    for (Index r = 0; r < blocks.size(block); ++r) {
      const auto begin = static_cast<std::size_t>(rows.start[static_cast<std::size_t>(r)]);
      const auto end = static_cast<std::size_t>(rows.start[static_cast<std::size_t>(r) + 1]);
      const Index pattern =
          index.find_or_add(rows.source.data() + begin, rows.state.data() + begin, end - begin);
      const double weight = weights == nullptr ? 1.0 : weights[blocks.begin(block) + r];
      if (pattern == patterns.size()) patterns.weight.push_back(0.0);
      patterns.weight[static_cast<std::size_t>(pattern)] += weight;
    }
    if (execution.poll) execution.poll();
  }
  patterns.start = index.start();
  patterns.column = std::move(index.columns());
  patterns.state = std::move(index.states());
}

/// Patterns in stretches that workers take one by one.
struct Stretches {
  static constexpr Index kSize = Index{1} << 16;

  explicit Stretches(Index size) : n_patterns(size), n((size + kSize - 1) / kSize) {}
  std::size_t begin(Index stretch) const { return static_cast<std::size_t>(stretch * kSize); }
  std::size_t end(Index stretch) const {
    return static_cast<std::size_t>(std::min(n_patterns, (stretch + 1) * kSize));
  }

  Index n_patterns, n;
};

/// Bits that look drawn at random: the finaliser of SplitMix64.
std::uint64_t scrambled(std::uint64_t bits) {
  bits += 0x9e3779b97f4a7c15U;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9U;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebU;
  return bits ^ (bits >> 31);
}

/// Keys of listed rows, where they fit.
void add_keys(Patterns& patterns) {
  if (!RowKeys::fit(patterns.n_columns, patterns.n_states)) return;
  const RowKeys rows(patterns.n_columns, patterns.n_states);
  patterns.keys.assign(patterns.weight.size(), 0);
  for (std::size_t u = 0; u < patterns.keys.size(); ++u) {
    for (auto v = static_cast<std::size_t>(patterns.start[u]);
         v < static_cast<std::size_t>(patterns.start[u + 1]); ++v) {
      patterns.keys[u] |= rows.of_vote(patterns.column[v], patterns.state[v]);
    }
  }
}

}  // namespace

Patterns find_patterns(const StateReader& reader, const double* weights,
                       const Execution& execution) {
  Patterns patterns;
  patterns.n_columns = reader.n_columns();
  patterns.n_states = reader.coding().n_states();
  if (!RowKeys::fit(patterns.n_columns, patterns.n_states)) {
    hash_rows(reader, weights, execution, patterns);
    return patterns;
  }
  const RowKeys rows(patterns.n_columns, patterns.n_states);
  DistinctKeys distinct(rows.n_bits());
  const Index n = reader.votes().n_items, n_possible = count_possible_rows(reader, kMostCounted);
  if (n_possible <= std::min(n, kMostCounted) && n <= UINT32_MAX) {
    count_possible(reader, weights, n_possible, rows, execution, distinct);
  } else {
    sort_keys(reader, weights, rows, execution, distinct);
  }
  list_keys(distinct, rows, execution, patterns);
  return patterns;
}

Patterns select(const Patterns& patterns, const std::vector<std::int64_t>& rows,
                const std::vector<double>& weights, const std::vector<std::uint8_t>& columns) {
  if (rows.size() != weights.size()) throw std::invalid_argument("one weight a row is needed");
  if (static_cast<Index>(columns.size()) != patterns.n_columns) {
    throw std::invalid_argument("columns must be (n_columns,)");
  }
  Patterns chosen;
  chosen.start.assign(1, 0);
  chosen.weight = weights;
  std::vector<std::int32_t> place;  // of each column among those that stay
  for (const std::uint8_t stays : columns) {
    place.push_back(static_cast<std::int32_t>(chosen.n_columns));
    if (stays != 0) ++chosen.n_columns;
  }
  chosen.n_states = patterns.n_states;
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= patterns.size()) throw std::invalid_argument("a row is out of range");
    const auto u = static_cast<std::size_t>(row);
    for (auto v = static_cast<std::size_t>(patterns.start[u]);
         v < static_cast<std::size_t>(patterns.start[u + 1]); ++v) {
      const auto column = static_cast<std::size_t>(patterns.column[v]);
      if (columns[column] == 0) continue;
      chosen.column.push_back(place[column]);
      chosen.state.push_back(patterns.state[v]);
    }
    chosen.start.push_back(static_cast<std::int64_t>(chosen.column.size()));
  }
  add_keys(chosen);
  return chosen;
}

Patterns thinned(const Patterns& patterns, double one_in, const Execution& execution) {
  if (!(one_in > 0)) throw std::invalid_argument("one_in must be positive");
  const Stretches stretches(patterns.size());
  const auto n_states = static_cast<std::size_t>(patterns.n_states);
  const auto cell = [&](std::size_t vote) {
    return static_cast<std::size_t>(patterns.column[vote]) * n_states +
           static_cast<std::size_t>(patterns.state[vote]);
  };
  // A cell is known by the number of rows that it occurs in, in whichever column it stands.
  const auto n_cells = static_cast<std::size_t>(patterns.n_columns) * n_states;
  std::vector<std::vector<std::uint64_t>> counts(
      static_cast<std::size_t>(n_workers(stretches.n, execution)));
  for_each_chunk(stretches.n, execution, [&](Index stretch, int worker) {
    auto& own = counts[static_cast<std::size_t>(worker)];
    own.resize(n_cells);
    const auto end = static_cast<std::size_t>(patterns.start[stretches.end(stretch)]);
    for (auto v = static_cast<std::size_t>(patterns.start[stretches.begin(stretch)]); v < end;
         ++v) {
      ++own[cell(v)];
    }
  });
  std::vector<std::uint64_t> mark(n_cells, 0);
  for (const auto& own : counts) {
    for (std::size_t c = 0; c < own.size(); ++c) mark[c] += own[c];
  }
  for (std::uint64_t& of_cell : mark) of_cell = scrambled(of_cell);
  struct Drawn {
    std::vector<std::int64_t> rows;
    std::vector<double> weights;
  };
  std::vector<Drawn> drawn(static_cast<std::size_t>(stretches.n));
  for_each_chunk(stretches.n, execution, [&](Index stretch, int) {
    Drawn& own = drawn[static_cast<std::size_t>(stretch)];
    for (auto u = stretches.begin(stretch); u < stretches.end(stretch); ++u) {
      std::uint64_t sum = 0;
      for (auto v = static_cast<std::size_t>(patterns.start[u]);
           v < static_cast<std::size_t>(patterns.start[u + 1]); ++v) {
        sum += mark[cell(v)];
      }
      const double uniform = static_cast<double>(scrambled(sum) >> 11) * 0x1p-53;
      const double weight = std::floor(patterns.weight[u] / one_in + uniform);
      if (weight < 1) continue;
      own.rows.push_back(static_cast<std::int64_t>(u));
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
  chosen.start.assign(1, 0);
  chosen.weight = patterns.weight;
  chosen.n_columns = patterns.n_columns;
  chosen.n_states = n_states;
  for (std::size_t u = 0; u < patterns.weight.size(); ++u) {
    for (auto v = static_cast<std::size_t>(patterns.start[u]);
         v < static_cast<std::size_t>(patterns.start[u + 1]); ++v) {
      const auto column = static_cast<std::size_t>(patterns.column[v]);
      const std::int32_t state = number[column * static_cast<std::size_t>(patterns.n_states) +
                                        static_cast<std::size_t>(patterns.state[v])];
      if (state == 0) continue;
      chosen.column.push_back(patterns.column[v]);
      chosen.state.push_back(state);
    }
    chosen.start.push_back(static_cast<std::int64_t>(chosen.column.size()));
  }
  add_keys(chosen);
  return chosen;
}

Patterns with_column_per_state(const Patterns& patterns, const std::vector<std::uint8_t>& kept) {
  if (static_cast<Index>(kept.size()) != patterns.n_columns * patterns.n_states) {
    throw std::invalid_argument("kept must be (n_columns, n_states)");
  }
  Patterns chosen;
  chosen.start.assign(1, 0);
  chosen.weight = patterns.weight;
  chosen.n_states = 2;
  std::vector<std::int32_t> place;  // of each cell among those that stay
  for (const std::uint8_t stays : kept) {
    place.push_back(static_cast<std::int32_t>(chosen.n_columns));
    if (stays != 0) ++chosen.n_columns;
  }
  for (std::size_t u = 0; u < patterns.weight.size(); ++u) {
    for (auto v = static_cast<std::size_t>(patterns.start[u]);
         v < static_cast<std::size_t>(patterns.start[u + 1]); ++v) {
      const auto cell = static_cast<std::size_t>(patterns.column[v]) *
                            static_cast<std::size_t>(patterns.n_states) +
                        static_cast<std::size_t>(patterns.state[v]);
      if (kept[cell] == 0) continue;
      chosen.column.push_back(place[cell]);
      chosen.state.push_back(1);
    }
    chosen.start.push_back(static_cast<std::int64_t>(chosen.column.size()));
  }
  add_keys(chosen);
  return chosen;
}

}  // namespace consilience
