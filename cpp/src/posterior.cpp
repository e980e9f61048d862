#include "consilience/posterior.hpp"

#include <algorithm>
#include <stdexcept>

#include "blocks.hpp"
#include "consilience/parallel.hpp"
#include "simd/loops.hpp"

namespace consilience {
namespace {

constexpr std::int32_t kMaxTileStates =
    16;  // above, looking up every entry costs more than listing votes
constexpr Index kMaxTileVectors = 8;

/// Scores of a block of rows, vector by vector: entry (y, row) at `scores[y * stride + row]`.
///
/// Two ways to the same bits: both add a source's entries in the order of the sources, and an
/// abstention adds 0 or nothing.
class Scorer {
 public:
  Scorer(const StateReader& reader, const ScoreTable& table)
      : reader_(reader),
        table_(table),
        n_states_(reader.coding().n_states()),
        by_tile_(reader.fits_tiles() && !reader.is_sparse() && n_states_ <= kMaxTileStates &&
                 table.n_vectors <= kMaxTileVectors) {
    const Index m = reader.n_columns();
    if (static_cast<Index>(table.of_state.size()) != m * n_states_ * table.n_vectors ||
        static_cast<Index>(table.base.size()) != table.n_vectors) {
      throw std::invalid_argument("the score table must be (n_sources, n_states, n_vectors)");
    }
    // Softmax scores are taken relative to the first vector, whose own score is then 0.
    first_ = table.link == Link::softmax ? 1 : 0;
    base_ = table.base;
    of_state_ = table.of_state;
    if (first_ == 1) {
      for (double& score : base_) score -= table.base[0];
      for (std::size_t i = 0; i < of_state_.size(); ++i) {
        of_state_[i] -= table.of_state[i - i % static_cast<std::size_t>(table.n_vectors)];
      }
    }
    if (by_tile_) arrange_by_vector();
  }

  Index stride() const { return stride_; }
  double* scores() { return scores_.data(); }

  void score(Index begin, Index n_rows) {
    stride_ = (n_rows + 63) / 64 * 64;
    scores_.resize(static_cast<std::size_t>(table_.n_vectors * stride_));
    for (Index y = 0; y < table_.n_vectors; ++y) {
      std::fill_n(scores_.begin() + y * stride_, n_rows, base_[static_cast<std::size_t>(y)]);
    }
    if (by_tile_) {
      score_tile(begin, n_rows);
    } else {
      score_rows(begin, n_rows);
    }
  }

 private:
  // (m, K, padded n_states): a source's entries for one vector side by side, that of state 0 zero.
  void arrange_by_vector() {
    padded_states_ = std::max<Index>(8, n_states_);
    const Index m = reader_.n_columns(), k = table_.n_vectors;
    by_vector_.assign(static_cast<std::size_t>(m * k * padded_states_), 0.0);
    for (Index j = 0; j < m; ++j) {
      for (Index s = 1; s < n_states_; ++s) {
        for (Index y = 0; y < k; ++y) {
          by_vector_[static_cast<std::size_t>((j * k + y) * padded_states_ + s)] =
              of_state_[static_cast<std::size_t>((j * n_states_ + s) * k + y)];
        }
      }
    }
  }

  void score_tile(Index begin, Index n_rows) {
    reader_.read(begin, n_rows, tile_);
    for (Index j = 0; j < reader_.n_columns(); ++j) {
      for (Index y = first_; y < table_.n_vectors; ++y) {
        simd::loops().add_looked_up(tile_.source(j), static_cast<std::size_t>(n_rows),
                                    by_vector_.data() + (j * table_.n_vectors + y) * padded_states_,
                                    n_states_, scores_.data() + y * stride_);
      }
    }
  }

  void score_rows(Index begin, Index n_rows) {
    reader_.read(begin, n_rows, rows_);
    const Index k = table_.n_vectors;
    row_.resize(static_cast<std::size_t>(k));
    for (Index r = 0; r < n_rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      if (rows_.start[i] == rows_.start[i + 1]) continue;
      std::copy(base_.begin(), base_.end(), row_.begin());
      for (std::int32_t v = rows_.start[i]; v < rows_.start[i + 1]; ++v) {
        const auto at = static_cast<std::size_t>(v);
        const double* entries =
            of_state_.data() + (Index{rows_.source[at]} * n_states_ + rows_.state[at]) * k;
        for (Index y = first_; y < k; ++y) row_[static_cast<std::size_t>(y)] += entries[y];
      }
      for (Index y = first_; y < k; ++y)
        scores_[static_cast<std::size_t>(y * stride_ + r)] = row_[static_cast<std::size_t>(y)];
    }
  }

  const StateReader& reader_;
  const ScoreTable& table_;
  std::int32_t n_states_;
  bool by_tile_;
  Index first_ = 0;
  Index stride_ = 0;
  Index padded_states_ = 0;
  std::vector<double> base_, of_state_, by_vector_, scores_, row_;
  StateTile tile_;
  StateRows rows_;
};

/// Divides each row's counts by their sum; a row without any has the base alone.
void shares(double* scores, Index n_vectors, Index stride, Index n_rows) {
  for (Index r = 0; r < n_rows; ++r) {
    double total = 0;
    for (Index y = 0; y < n_vectors; ++y) total += scores[y * stride + r];
    for (Index y = 0; y < n_vectors; ++y) scores[y * stride + r] /= total;
  }
}

void write(const Marginal& marginal, const double* probabilities, Index stride, Index begin,
           Index n_rows) {
  double* out = marginal.out + begin * marginal.n_classes;
  const auto k = static_cast<Index>(marginal.class_of_vector.size());
  bool one_each = k == marginal.n_classes;  // every class is one vector, in order
  for (Index y = 0; y < k; ++y)
    one_each &= marginal.class_of_vector[static_cast<std::size_t>(y)] == y;
  if (one_each) {
    for (Index r = 0; r < n_rows; ++r) {
      for (Index y = 0; y < k; ++y) out[r * k + y] = probabilities[y * stride + r];
    }
    return;
  }
  std::fill_n(out, n_rows * marginal.n_classes, 0.0);
  for (Index r = 0; r < n_rows; ++r) {
    for (Index y = 0; y < k; ++y) {
      out[r * marginal.n_classes + marginal.class_of_vector[static_cast<std::size_t>(y)]] +=
          probabilities[y * stride + r];
    }
  }
}

/// Rows of a block: fewer when there are many vectors, so that their scores stay in the cache.
Blocks posterior_blocks(const StateReader& reader, const ScoreTable& table) {
  const Index rows = std::clamp<Index>((Index{1} << 14) / table.n_vectors / 64 * 64, 64, 1024);
  return Blocks(reader.votes(), std::min(rows, Blocks(reader.votes()).rows));
}

}  // namespace

void posterior(const StateReader& reader, const ScoreTable& table,
               const std::vector<Marginal>& marginals, const Execution& execution) {
  const Blocks blocks = posterior_blocks(reader, table);
  std::vector<Scorer> scorers(static_cast<std::size_t>(n_workers(blocks.n, execution)),
                              Scorer(reader, table));
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    Scorer& scorer = scorers[static_cast<std::size_t>(worker)];
    const Index begin = blocks.begin(block), n_rows = blocks.size(block);
    scorer.score(begin, n_rows);
    if (table.link == Link::softmax) {
      simd::loops().softmax(scorer.scores(), static_cast<std::size_t>(table.n_vectors),
                            static_cast<std::size_t>(scorer.stride()),
                            static_cast<std::size_t>(n_rows));
    } else {
      shares(scorer.scores(), table.n_vectors, scorer.stride(), n_rows);
    }
    for (const Marginal& marginal : marginals) {
      write(marginal, scorer.scores(), scorer.stride(), begin, n_rows);
    }
  });
}

void most_probable(const StateReader& reader, const ScoreTable& table,
                   const std::vector<std::int32_t>& preference, std::int64_t* out,
                   const Execution& execution) {
  constexpr double tie = 1e-9;
  const Blocks blocks = posterior_blocks(reader, table);
  std::vector<Scorer> scorers(static_cast<std::size_t>(n_workers(blocks.n, execution)),
                              Scorer(reader, table));
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    Scorer& scorer = scorers[static_cast<std::size_t>(worker)];
    const Index begin = blocks.begin(block), n_rows = blocks.size(block);
    scorer.score(begin, n_rows);
    const double* scores = scorer.scores();
    for (Index r = 0; r < n_rows; ++r) {
      double highest = scores[r];
      for (Index y = 1; y < table.n_vectors; ++y) {
        highest = std::max(highest, scores[y * scorer.stride() + r]);
      }
      out[begin + r] = preference[0];
      for (const std::int32_t y : preference) {
        if (scores[y * scorer.stride() + r] >= highest - tie) {
          out[begin + r] = y;
          break;
        }
      }
    }
  });
}

}  // namespace consilience
