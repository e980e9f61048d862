// The expectation step over items that are read from the votes each time.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <variant>
#include <vector>

#include "blocks.hpp"
#include "consilience/expectation.hpp"
#include "consilience/parallel.hpp"
#include "integers.hpp"
#include "simd/loops.hpp"

namespace consilience {
namespace {

constexpr Index kMostRows = 960;  // of a block
constexpr Index kPaddedStates = 16;
constexpr Index kMostVectorsByColumn = 8;
constexpr double kColumnsPerVote = 15;  // that are looked up while a vote is listed and added

std::size_t size(Index n) { return static_cast<std::size_t>(n); }

/// Rows of a block, which stays in the cache: the same however the votes are stored.
Index rows_of_block(const StateReader& reader, Index n_vectors) {
  const Index bytes = reader.n_columns() + 12 * n_vectors;
  return std::clamp<Index>((Index{1} << 17) / bytes / 64 * 64, 64, kMostRows);
}

/// Stored votes of a row, abstentions in a dense table included.
double votes_per_row(const StateReader& reader) {
  const VoteView& votes = reader.votes();
  double most = 0;
  for (const VoteTable& table : votes.tables) {
    const auto* sparse = std::get_if<SparseTable>(&table);
    if (sparse == nullptr) return static_cast<double>(votes.n_sources);
    most = std::max(most, static_cast<double>(load(sparse->indptr, votes.n_items)));
  }
  return most / std::max(1.0, static_cast<double>(votes.n_items));
}

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
class ItemPass {
 public:
  struct Worker {
    StateTile tile;
    StateRows rows;
    std::vector<double> scores, logs;
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint64_t> of_row;
    Sums sums;
  };

  ItemPass(const StateReader& reader, const ScoreTable& table)
      : reader_(reader),
        k_(table.n_vectors),
        n_columns_(reader.n_columns()),
        n_states_(reader.coding().n_states()),
        stride_(rows_of_block(reader, k_)),
        by_column_(reader.fits_tiles() && n_states_ <= kPaddedStates &&
                   k_ <= kMostVectorsByColumn &&
                   votes_per_row(reader) * kColumnsPerVote >= static_cast<double>(n_columns_)),
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
    if (by_column_) {
      reader_.read(begin, n, worker.tile);
      if (k_ > 2) std::fill_n(scores, n, 0.0);
      for (Index y = 1; y < k_; ++y) {
        simd::loops().add_looked_up(
            worker.tile.states.data(), size(worker.tile.stride), size(n), size(n_columns_),
            entries_.data() + y * n_columns_ * kPaddedStates, size(kPaddedStates), n_states_,
            base_[size(y)], scores + y * stride_);
      }
    } else {
      reader_.read(begin, n, worker.rows);
      simd::loops().add_votes(worker.rows.start.data(), worker.rows.source.data(),
                              worker.rows.state.data(), size(n), n_states_, entries_.data(),
                              base_.data(), size(width_), scores, size(stride_));
    }
    const double logs = to_probabilities(n, worker);
    if (by_column_) {
      add_columns(n, worker);
    } else {
      add_rows(n, worker);
    }
    return logs;
  }

 private:
  double to_probabilities(Index n, Worker& worker) const {
    double* scores = worker.scores.data();
    if (k_ == 1) return 0.0;
    if (k_ == 2) return simd::loops().logistic_with_log(scores + stride_, size(n));
    double* logs = worker.logs.data();
    simd::loops().softmax_with_logs(scores, size(k_), size(stride_), size(n), logs);
    return std::accumulate(logs, logs + n, 0.0);
  }

  void add_columns(Index n, Worker& worker) const {
    const StateTile& tile = worker.tile;
    const Index n_groups = (n + 63) / 64;
    worker.bytes.resize(size(4 * stride_));
    simd::loops().count_states(tile.states.data(), size(tile.stride), size(n_groups),
                               size(n_columns_), n_states_, worker.sums.counts.data());
    for (Index y = 1; y < k_; ++y) {
      worker.sums.of_vector[size(y - 1)] += simd::loops().split_fixed(
          worker.scores.data() + y * stride_, size(n), worker.bytes.data(), size(stride_));
      simd::loops().add_fixed_by_state(
          tile.states.data(), size(tile.stride), size(n_groups), size(n_columns_), n_states_,
          worker.bytes.data(), size(stride_), worker.sums.of_state.data() + (y - 1), size(k_ - 1));
    }
  }

  void add_rows(Index n, Worker& worker) const {
    const std::size_t n_others = size(k_ - 1);
    worker.of_row.resize(n_others);
    std::uint64_t* of_row = worker.of_row.data();
    for (Index r = 0; r < n; ++r) {
      for (std::size_t y = 0; y < n_others; ++y) {
        of_row[y] = fixed(worker.scores[(y + 1) * size(stride_) + size(r)]);
        worker.sums.of_vector[y] += of_row[y];
      }
      const auto end = worker.rows.start[size(r) + 1];
      for (auto v = worker.rows.start[size(r)]; v < end; ++v) {
        const std::size_t cell =
            size(Index{worker.rows.source[size(v)]} * n_states_ + worker.rows.state[size(v)]);
        ++worker.sums.counts[cell];
        std::uint64_t* to = worker.sums.of_state.data() + cell * n_others;
        for (std::size_t y = 0; y < n_others; ++y) to[y] += of_row[y];
      }
    }
  }

  const StateReader& reader_;
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

}  // namespace

Expectation expect_items(const StateReader& reader, const ScoreTable& table,
                         const Execution& execution) {
  const Index k = table.n_vectors, n_cells = reader.n_columns() * reader.coding().n_states();
  if (static_cast<Index>(table.of_state.size()) != n_cells * k ||
      static_cast<Index>(table.base.size()) != k || k < 1) {
    throw std::invalid_argument("the score table must be (n_columns, n_states, n_vectors)");
  }
  if (table.link != Link::softmax) throw std::invalid_argument("link must be softmax");

  const ItemPass pass(reader, table);
  const Blocks blocks(reader.votes(), pass.rows());
  std::vector<ItemPass::Worker> workers(size(n_workers(blocks.n, execution)));
  std::vector<double> logs(size(blocks.n));
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    logs[size(block)] = pass.add(blocks.begin(block), blocks.size(block), workers[size(worker)]);
  });
  Sums sums;
  sums.resize(n_cells, k - 1);
  for (const ItemPass::Worker& worker : workers) sums.add(worker.sums);

  Expectation total;
  const std::size_t n_others = size(k - 1);
  const auto n_items = static_cast<std::uint64_t>(blocks.n_items);
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

}  // namespace consilience
