// The expectation step in exact sums: over items that are read from the votes each time, or over
// distinct rows.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <variant>
#include <vector>

#include "blocks.hpp"
#include "consilience/expectation.hpp"
#include "consilience/parallel.hpp"
#include "integers.hpp"
#include "pattern_votes.hpp"
#include "row_keys.hpp"
#include "simd/loops.hpp"

namespace consilience {
namespace {

constexpr Index kMostRows = 960;  // of a block
constexpr Index kPaddedStates = 16;
constexpr Index kMostVectorsByColumn = 8;
constexpr double kColumnsPerVote = 15;  // that are looked up while a vote is listed and added
constexpr double kMostItems = 0x1p32;   // whose sums in multiples of 2^-31 fit into 64 bits

std::size_t size(Index n) { return static_cast<std::size_t>(n); }

/// Rows of a block, which stays in the cache: the same however the votes are stored.
Index rows_of_block(Index n_columns, Index n_vectors) {
  const Index bytes = n_columns + 12 * n_vectors;
  return std::clamp<Index>((Index{1} << 17) / bytes / 64 * 64, 64, kMostRows);
}

/// Votes of a block of rows: those of row r at [start[r], start[r + 1]).
struct ListedRows {
  const std::int64_t* start;
  const std::int32_t* column;
  const std::int32_t* state;
};

/// Items as rows: each counts once, or not at all where some are left out.
template <bool kSomeLeftOut>
class VoteRows {
 public:
  static constexpr bool kWeighted = kSomeLeftOut;
  /// What a worker reads into.
  struct Room {
    explicit Room(const VoteRows&) {}
    StateTile tile;
    StateRows rows;
  };

  /// `left_out`, (n_items,), is null where none are.
  VoteRows(const StateReader& reader, const std::uint8_t* left_out)
      : reader_(reader), left_out_(left_out) {
    for (Index i = 0; kSomeLeftOut && i < size(); ++i) n_left_out_ += left_out[i] != 0 ? 1 : 0;
  }

  Index size() const { return reader_.votes().n_items; }
  Index n_columns() const { return reader_.n_columns(); }
  std::int32_t n_states() const { return reader_.coding().n_states(); }
  bool fits_tiles() const { return reader_.fits_tiles(); }
  std::uint64_t total() const { return static_cast<std::uint64_t>(size() - n_left_out_); }
  double weight(Index row) const { return left_out_[row] != 0 ? 0.0 : 1.0; }

  /// Stored votes of a row, abstentions in a dense table included.
  double votes_per_row() const {
    const VoteView& votes = reader_.votes();
    double most = 0;
    for (const VoteTable& table : votes.tables) {
      const auto* sparse = std::get_if<SparseTable>(&table);
      if (sparse == nullptr) return static_cast<double>(votes.n_sources);
      most = std::max(most, static_cast<double>(load(sparse->indptr, votes.n_items)));
    }
    return most / std::max(1.0, static_cast<double>(votes.n_items));
  }

  void read(Index begin, Index n, Room& room) const { reader_.read(begin, n, room.tile); }
  ListedRows list(Index begin, Index n, Room& room) const {
    reader_.read(begin, n, room.rows);
    return {room.rows.start.data(), room.rows.source.data(), room.rows.state.data()};
  }

 private:
  const StateReader& reader_;
  const std::uint8_t* left_out_;
  Index n_left_out_ = 0;
};

/// Distinct rows, each of which counts as often as it weighs.
class PatternRows {
 public:
  static constexpr bool kWeighted = true;
  struct Room {
    explicit Room(const PatternRows& rows) : votes(rows.patterns_) {}
    StateTile tile;
    PatternVotes votes;
  };

  explicit PatternRows(const Patterns& patterns) : patterns_(patterns) {
    double total = 0;
    for (const double weight : patterns.weight) {
      if (!(weight >= 0) || weight != std::floor(weight)) {
        throw std::invalid_argument("weights must be whole numbers for their sums to be exact");
      }
      total += weight;
    }
    if (total > kMostItems) {
      throw std::invalid_argument("weights must not exceed 2^32 together for sums to be exact");
    }
    total_ = static_cast<std::uint64_t>(total);
  }

  Index size() const { return patterns_.size(); }
  Index n_columns() const { return patterns_.n_columns; }
  std::int32_t n_states() const { return patterns_.n_states; }
  bool fits_tiles() const { return patterns_.is_keyed(); }
  std::uint64_t total() const { return total_; }
  double weight(Index row) const { return patterns_.weight[static_cast<std::size_t>(row)]; }
  double votes_per_row() const { return static_cast<double>(n_columns()); }

  void read(Index begin, Index n, Room& room) const {
    RowKeys(patterns_.n_columns, patterns_.n_states)
        .to_tile(patterns_.keys.data() + begin, n, room.tile);
  }
  ListedRows list(Index begin, Index n, Room& room) const {
    room.votes.list(begin, n);
    return {room.votes.start(), room.votes.column(), room.votes.state()};
  }

 private:
  const Patterns& patterns_;
  std::uint64_t total_ = 0;
};

/// A probability in multiples of 2^-31, as `split_fixed` rounds it.
std::uint64_t fixed(double probability) {
  return std::bit_cast<std::uint64_t>(probability * 0x1p31 + 0x1p52) & 0xffffffff;
}

double to_double(std::uint64_t sum) { return static_cast<double>(sum) * 0x1p-31; }

/// What is summed up of some blocks. The first vector's share is what the others leave.
struct Sums {
  std::vector<std::uint64_t> counts;     // (n_columns, n_states)
  std::vector<std::uint64_t> of_state;   // (n_columns, n_states, K - 1)
  std::vector<std::uint64_t> of_vector;  // (K - 1,)

  void resize(Index n_cells, Index n_others) {
    counts.resize(size(n_cells));
    of_state.resize(size(n_cells * n_others));
    of_vector.resize(size(n_others));
  }
  void add(const Sums& other) {
    const auto plus = [](std::vector<std::uint64_t>& to, const std::vector<std::uint64_t>& from) {
      for (std::size_t i = 0; i < from.size(); ++i) to[i] += from[i];
    };
    plus(counts, other.counts);
    plus(of_state, other.of_state);
    plus(of_vector, other.of_vector);
  }
};

/// One pass; read only, shared by workers.
///
/// Two ways to the same bits: votes are looked up column by column, all rows of a block at once, or
/// listed and added row by row. Scores are relative to those of the first vector.
template <class Rows>
class ExactPass {
 public:
  struct Worker {
    explicit Worker(const Rows& rows) : room(rows) {}
    typename Rows::Room room;
    std::vector<double> scores, logs, pairs;
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint64_t> of_row, numbers, weights, high;
    Sums sums;
  };

  ExactPass(const Rows& rows, const ScoreTable& table)
      : source_(rows),
        k_(table.n_vectors),
        n_columns_(rows.n_columns()),
        n_states_(rows.n_states()),
        stride_(rows_of_block(n_columns_, k_)),
        by_column_(rows.fits_tiles() && n_states_ <= kPaddedStates && k_ <= kMostVectorsByColumn &&
                   rows.votes_per_row() * kColumnsPerVote >= static_cast<double>(n_columns_)),
        width_((k_ + 3) / 4 * 4),
        base_(size(width_), 0.0),
        entries_(
            size(by_column_ ? k_ * n_columns_ * kPaddedStates : n_columns_ * n_states_ * width_),
            0.0) {
    for (Index y = 1; y < k_; ++y) base_[size(y)] = table.base[size(y)] - table.base[0];
    for (Index j = 0; j < n_columns_; ++j) {
      for (Index s = 1; s < n_states_; ++s) {
        const double* of_cell = table.of_state.data() + (j * n_states_ + s) * k_;
        for (Index y = 1; y < k_; ++y) {
          const Index to = by_column_ ? (y * n_columns_ + j) * kPaddedStates + s
                                      : (j * n_states_ + s) * width_ + y;
          entries_[size(to)] = of_cell[y] - of_cell[0];
        }
      }
    }
  }

  Index rows() const { return stride_; }

  /// Adds rows [begin, begin + n), n <= rows(), to the worker's sums. Returns the sum over them of
  /// the logarithms of sums of exponentials.
  double add(Index begin, Index n, Worker& worker) const {
    worker.scores.resize(size(width_ * stride_));
    worker.logs.resize(size(stride_));
    worker.sums.resize(n_columns_ * n_states_, k_ - 1);
    double* scores = worker.scores.data();
    if constexpr (Rows::kWeighted) {
      worker.weights.resize(size(stride_));
      for (Index r = 0; r < n; ++r) {
        worker.weights[size(r)] = static_cast<std::uint64_t>(source_.weight(begin + r));
      }
    }
    if (by_column_) {
      source_.read(begin, n, worker.room);
      const StateTile& tile = worker.room.tile;
      if (k_ > 2) std::fill_n(scores, n, 0.0);
      for (Index y = 1; y < k_; ++y) {
        simd::loops().add_looked_up(
            tile.states.data(), size(tile.stride), size(n), size(n_columns_),
            entries_.data() + y * n_columns_ * kPaddedStates, size(kPaddedStates), n_states_,
            base_[size(y)], scores + y * stride_);
      }
      const double logs = to_probabilities(n, worker);
      add_columns(n, worker);
      return logs;
    }
    const ListedRows rows = source_.list(begin, n, worker.room);
    simd::loops().add_votes(rows.start, rows.column, rows.state, size(n), n_states_,
                            entries_.data(), base_.data(), size(width_), scores, size(stride_));
    const double logs = to_probabilities(n, worker);
    add_rows(rows, n, worker);
    return logs;
  }

 private:
  /// Scores to probabilities; the sum of the rows' logarithms of sums of exponentials.
  double to_probabilities(Index n, Worker& worker) const {
    if (k_ == 1) return 0.0;
    double* scores = worker.scores.data();
    double* logs = worker.logs.data();
    if (k_ == 2) {
      if constexpr (!Rows::kWeighted) {
        return simd::loops().logistic_with_log(scores + stride_, size(n));
      }
      // Logarithms one by one, to be weighed; the probabilities are those of rows that are not.
      worker.pairs.assign(size(2 * stride_), 0.0);
      std::copy_n(scores + stride_, n, worker.pairs.data() + stride_);
      simd::loops().softmax_with_logs(worker.pairs.data(), 2, size(stride_), size(n), logs);
      simd::loops().logistic_with_log(scores + stride_, size(n));
    } else {
      simd::loops().softmax_with_logs(scores, size(k_), size(stride_), size(n), logs);
    }
    if constexpr (Rows::kWeighted) {
      for (Index r = 0; r < n; ++r) logs[r] *= static_cast<double>(worker.weights[size(r)]);
    }
    return std::accumulate(logs, logs + n, 0.0);
  }

  void add_columns(Index n, Worker& worker) const {
    [[maybe_unused]] const StateTile& tile = worker.room.tile;
    [[maybe_unused]] const Index n_groups = (n + 63) / 64;
    worker.bytes.resize(size(4 * stride_));
    if constexpr (Rows::kWeighted) {
      add_numbers(n, worker.weights, worker, worker.sums.counts.data(), 1);
    } else {
      simd::loops().count_states(tile.states.data(), size(tile.stride), size(n_groups),
                                 size(n_columns_), n_states_, worker.sums.counts.data());
    }
    for (Index y = 1; y < k_; ++y) {
      const double* probabilities = worker.scores.data() + y * stride_;
      std::uint64_t* of_state = worker.sums.of_state.data() + (y - 1);
      std::uint64_t& of_vector = worker.sums.of_vector[size(y - 1)];
      if constexpr (Rows::kWeighted) {
        worker.numbers.resize(size(stride_));
        for (Index r = 0; r < n; ++r) {
          worker.numbers[size(r)] = fixed(probabilities[r]) * worker.weights[size(r)];
          of_vector += worker.numbers[size(r)];
        }
        add_numbers(n, worker.numbers, worker, of_state, k_ - 1);
      } else {
        of_vector +=
            simd::loops().split_fixed(probabilities, size(n), worker.bytes.data(), size(stride_));
        simd::loops().add_fixed_by_state(tile.states.data(), size(tile.stride), size(n_groups),
                                         size(n_columns_), n_states_, worker.bytes.data(),
                                         size(stride_), of_state, size(k_ - 1));
      }
    }
  }

  /// Adds a number of each row to the sums of its states, `stride` apart: its lower half, and then
  /// its upper half where some row has one.
  void add_numbers(Index n, const std::vector<std::uint64_t>& numbers, Worker& worker,
                   std::uint64_t* sums, Index stride) const {
    const StateTile& tile = worker.room.tile;
    const Index n_groups = (n + 63) / 64;
    std::uint64_t any = 0;
    for (Index r = 0; r < n; ++r) any |= numbers[size(r)];
    for (int shift = 0; shift < 64 && any >> shift != 0; shift += 32) {
      for (Index b = 0; b < 4; ++b) {
        std::uint8_t* bytes = worker.bytes.data() + b * stride_;
        const auto from = static_cast<int>(shift + 8 * b);
        for (Index r = 0; r < n; ++r) {
          bytes[r] = static_cast<std::uint8_t>(numbers[size(r)] >> from);
        }
        std::fill(bytes + n, bytes + 64 * n_groups, std::uint8_t{0});
      }
      worker.high.assign(shift == 0 ? 0 : size(n_columns_ * n_states_), 0);
      simd::loops().add_fixed_by_state(tile.states.data(), size(tile.stride), size(n_groups),
                                       size(n_columns_), n_states_, worker.bytes.data(),
                                       size(stride_), shift == 0 ? sums : worker.high.data(),
                                       shift == 0 ? size(stride) : 1);
      for (std::size_t cell = 0; cell < worker.high.size(); ++cell) {
        sums[cell * size(stride)] += worker.high[cell] << 32;
      }
    }
  }

  void add_rows(const ListedRows& rows, Index n, Worker& worker) const {
    const std::size_t n_others = size(k_ - 1);
    worker.of_row.resize(n_others);
    std::uint64_t* of_row = worker.of_row.data();
    for (Index r = 0; r < n; ++r) {
      std::uint64_t times = 1;
      if constexpr (Rows::kWeighted) times = worker.weights[size(r)];
      for (std::size_t y = 0; y < n_others; ++y) {
        of_row[y] = times * fixed(worker.scores[(y + 1) * size(stride_) + size(r)]);
        worker.sums.of_vector[y] += of_row[y];
      }
      for (auto v = rows.start[r]; v < rows.start[r + 1]; ++v) {
        const std::size_t cell = size(Index{rows.column[v]} * n_states_ + rows.state[v]);
        worker.sums.counts[cell] += times;
        std::uint64_t* to = worker.sums.of_state.data() + cell * n_others;
        for (std::size_t y = 0; y < n_others; ++y) to[y] += of_row[y];
      }
    }
  }

  const Rows& source_;
  Index k_;
  Index n_columns_;
  std::int32_t n_states_;
  Index stride_;
  bool by_column_;
  Index width_;
  std::vector<double> base_;     // (width,) relative to the first vector's
  std::vector<double> entries_;  // (K, n_columns, padded states), or (n_columns, n_states, width)
};

/// `total` - `others` in multiples of 2^-31, but no less than nothing: each was rounded.
double what_is_left(std::uint64_t total, const std::uint64_t* others, std::size_t n_others) {
  const std::uint64_t taken = std::accumulate(others, others + n_others, std::uint64_t{0});
  return taken < total ? to_double(total - taken) : 0.0;
}

template <class Rows>
Expectation expect_exactly(const Rows& rows, const ScoreTable& table, const Execution& execution) {
  const Index k = table.n_vectors, n_cells = rows.n_columns() * rows.n_states();
  if (static_cast<Index>(table.of_state.size()) != n_cells * k ||
      static_cast<Index>(table.base.size()) != k || k < 1) {
    throw std::invalid_argument("the score table must be (n_columns, n_states, n_vectors)");
  }
  if (table.link != Link::softmax) throw std::invalid_argument("link must be softmax");

  using Pass = ExactPass<Rows>;
  const Pass pass(rows, table);
  const Blocks blocks(rows.size(), pass.rows());
  std::vector<typename Pass::Worker> workers(size(n_workers(blocks.n, execution)),
                                             typename Pass::Worker(rows));
  std::vector<double> logs(size(blocks.n));
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    logs[size(block)] = pass.add(blocks.begin(block), blocks.size(block), workers[size(worker)]);
  });
  Sums sums;
  sums.resize(n_cells, k - 1);
  for (const auto& worker : workers) sums.add(worker.sums);

  Expectation total;
  const std::size_t n_others = size(k - 1);
  const std::uint64_t n_items = rows.total();
  total.of_vector.push_back(what_is_left(n_items << 31, sums.of_vector.data(), n_others));
  for (const std::uint64_t sum : sums.of_vector) total.of_vector.push_back(to_double(sum));
  // What the rows' sums of exponentials are relative to.
  total.log_likelihood = static_cast<double>(n_items) * table.base[0];
  total.of_state.reserve(table.of_state.size());
  for (std::size_t cell = 0; cell < size(n_cells); ++cell) {
    const std::uint64_t* others = sums.of_state.data() + cell * n_others;
    total.of_state.push_back(what_is_left(sums.counts[cell] << 31, others, n_others));
    for (std::size_t y = 0; y < n_others; ++y) total.of_state.push_back(to_double(others[y]));
    if (sums.counts[cell] > 0) {
      total.log_likelihood +=
          static_cast<double>(sums.counts[cell]) * table.of_state[cell * size(k)];
    }
  }
  total.log_likelihood = std::accumulate(logs.begin(), logs.end(), total.log_likelihood);
  return total;
}

}  // namespace

Expectation expect_items(const StateReader& reader, const std::uint8_t* left_out,
                         const ScoreTable& table, const Execution& execution) {
  if (left_out == nullptr)
    return expect_exactly(VoteRows<false>(reader, nullptr), table, execution);
  return expect_exactly(VoteRows<true>(reader, left_out), table, execution);
}

Expectation expect_exactly(const Patterns& patterns, const ScoreTable& table,
                           const Execution& execution) {
  return expect_exactly(PatternRows(patterns), table, execution);
}

}  // namespace consilience
