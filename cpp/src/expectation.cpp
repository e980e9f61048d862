#include "consilience/expectation.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "consilience/parallel.hpp"
#include "pattern_votes.hpp"
#include "row_keys.hpp"
#include "simd/loops.hpp"

namespace consilience {
namespace {

constexpr Index kMaxChunks = 64;
constexpr Index kMaxCells = Index{1} << 23;  // of all chunks' sums together, where they are large
constexpr Index kMinChunk = 512;
constexpr Index kStretch = 256;  // patterns between two polls of a worker

void check(const Patterns& patterns, const ScoreTable& table) {
  const Index expected = patterns.n_columns * patterns.n_states * table.n_vectors;
  if (static_cast<Index>(table.of_state.size()) != expected ||
      static_cast<Index>(table.base.size()) != table.n_vectors) {
    throw std::invalid_argument("the score table must be (n_columns, n_states, n_vectors)");
  }
  if (table.link != Link::softmax) throw std::invalid_argument("link must be softmax");
}

/// Scores of the r-th of the listed patterns into `r`, (K,).
void scores_of(const PatternVotes& votes, const ScoreTable& table, Index row, double* r) {
  const Index k = table.n_vectors;
  std::copy(table.base.begin(), table.base.end(), r);
  for (std::size_t v = votes.begin(row); v < votes.end(row); ++v) {
    const double* added = table.of_state.data() + votes.cell(v) * k;
    for (Index y = 0; y < k; ++y) r[y] += added[y];
  }
}

/// Scores to probabilities, in place; returns the logarithm of the sum of their exponentials.
double softmax(double* r, Index k) {
  const double largest = *std::max_element(r, r + k);
  double total = 0;
  for (Index y = 0; y < k; ++y) {
    r[y] = std::exp(r[y] - largest);
    total += r[y];
  }
  for (Index y = 0; y < k; ++y) r[y] /= total;
  return largest + std::log(total);
}

void check_votes(const ScoreTable& table, const std::vector<double>& vote_of_state) {
  if (vote_of_state.size() != table.of_state.size()) {
    throw std::invalid_argument("what votes say must be (n_columns, n_states, n_vectors)");
  }
}

/// What the votes of the `row`-th of the listed patterns say on average, into `mean`, (K,); false
/// if there are none.
bool mean_vote(const PatternVotes& votes, const std::vector<double>& of_state, Index k, Index row,
               double* mean) {
  std::fill(mean, mean + k, 0.0);
  for (std::size_t v = votes.begin(row); v < votes.end(row); ++v) {
    const double* said = of_state.data() + votes.cell(v) * k;
    for (Index y = 0; y < k; ++y) mean[y] += said[y];
  }
  const auto n_votes = static_cast<double>(votes.end(row) - votes.begin(row));
  for (Index y = 0; y < k; ++y) mean[y] /= n_votes;
  return n_votes > 0;
}

/// Sums of logarithms, taken of products of a few factors at a time: those of votes on one item.
class Products {
 public:
  explicit Products(std::size_t n) : of(n, 1.0) {}

  std::vector<double> of;

  /// After each factor, of 1e-9 to 1e9.
  void next(double weight, std::vector<double>& sums) {
    if (++n_factors_ == kMost) finish(weight, sums);
  }

  void finish(double weight, std::vector<double>& sums) {
    if (n_factors_ == 0) return;
    for (std::size_t i = 0; i < of.size(); ++i) sums[i] += weight * std::log(of[i]);
    std::fill(of.begin(), of.end(), 1.0);
    n_factors_ = 0;
  }

 private:
  static constexpr int kMost = 16;
  int n_factors_ = 0;
};

/// Chunks of patterns whose sums are added in order: the same for any number of threads.
struct Chunks {
  Index n_patterns, size, n;

  /// `n_sums` a chunk, whose size is a multiple of `stretch`.
  Chunks(const Patterns& patterns, Index n_sums, Index stretch) : n_patterns(patterns.size()) {
    const Index most = std::clamp<Index>(kMaxCells / std::max<Index>(1, n_sums), 4, kMaxChunks);
    size = std::max(kMinChunk, (n_patterns + most - 1) / most);
    size = (size + stretch - 1) / stretch * stretch;
    n = std::max<Index>(1, (n_patterns + size - 1) / size);
  }
  Index begin(Index chunk) const { return chunk * size; }
  Index end(Index chunk) const { return std::min(n_patterns, (chunk + 1) * size); }
};

/// Posteriors of stretches of patterns and what they add to the sums; read only, shared by workers.
///
/// Few states of few vectors are looked up and added column by column, all rows of a stretch at
/// once; otherwise vote by vote. Sums are added in a fixed order: over rows eight apart first.
class Expecting {
 public:
  static constexpr Index kRows = 512;  // of a stretch

  /// What a worker writes to.
  struct Room {
    explicit Room(const Patterns& patterns) : votes(patterns) {}
    std::vector<double> cells, mean, logs;
    StateTile tile;
    PatternVotes votes;
  };

  Expecting(const Patterns& patterns, const ScoreTable& table, const VoteShare& vote)
      : patterns_(patterns),
        vote_(vote),
        k_(table.n_vectors),
        width_((k_ + 3) / 4 * 4),
        by_column_(patterns.is_keyed() && patterns.n_states <= kPaddedStates &&
                   (patterns.n_states - 1) * k_ <= kMostCellsByColumn) {
    base_ = table.base;
    base_.resize(static_cast<std::size_t>(width_), 0.0);
    const Index n_states = patterns.n_states;
    const auto spread = [&](const double* entries, Index n_columns) {
      std::vector<double> result(static_cast<std::size_t>(
          by_column_ ? k_ * n_columns * kPaddedStates : n_columns * n_states * width_));
      for (Index j = 0; j < n_columns; ++j) {
        for (Index s = 1; s < n_states; ++s) {
          for (Index y = 0; y < k_; ++y) {
            const Index to = by_column_ ? (y * n_columns + j) * kPaddedStates + s
                                        : (j * n_states + s) * width_ + y;
            result[static_cast<std::size_t>(to)] = entries[(j * n_states + s) * k_ + y];
          }
        }
      }
      return result;
    };
    entries_ = spread(table.of_state.data(), patterns.n_columns);
    if (vote.share > 0 && by_column_) {
      said_ = spread(vote.of_state.data(), patterns.n_columns);
      is_vote_.assign(kPaddedStates, 1.0);
      is_vote_[0] = 0.0;
    }
  }

  /// What `sums` of a part has room for: eight lanes a sum, or one.
  Index n_sums() const {
    return patterns_.n_columns * patterns_.n_states * k_ * (by_column_ ? 8 : 1);
  }

  /// Adds patterns [begin, begin + n), n <= kRows.
  void add(Index begin, Index n, Room& room, Expectation& part, std::vector<double>& sums) const {
    room.cells.resize(static_cast<std::size_t>(width_ * kRows));
    room.logs.resize(kRows);
    double* cells = room.cells.data();
    score(begin, n, room);
    simd::loops().softmax_with_logs(cells, static_cast<std::size_t>(k_), kRows,
                                    static_cast<std::size_t>(n), room.logs.data());
    if (vote_.share > 0) mix(n, room);
    const double* weight = patterns_.weight.data() + begin;
    part.log_likelihood += weigh(weight, n, room.logs.data());
    for (Index y = 0; y < k_; ++y) part.of_vector[at(y)] += weigh(weight, n, cells + y * kRows);
    if (by_column_) {
      const Index n_groups = (n + 63) / 64;
      for (Index y = 0; y < k_; ++y) {
        std::fill(cells + y * kRows + n, cells + y * kRows + 64 * n_groups, 0.0);
      }
      simd::loops().add_by_state(room.tile.states.data(), at(room.tile.stride), at(n_groups),
                                 at(patterns_.n_columns), patterns_.n_states, cells, at(k_), kRows,
                                 sums.data());
      return;
    }
    for (Index r = 0; r < n; ++r) {
      for (std::size_t v = room.votes.begin(r); v < room.votes.end(r); ++v) {
        double* to = sums.data() + room.votes.cell(v) * k_;
        for (Index y = 0; y < k_; ++y) to[y] += cells[y * kRows + r];
      }
    }
  }

  /// Multiplies n values by weights; their sum.
  static double weigh(const double* weights, Index n, double* values) {
    double lanes[8] = {};
    Index r = 0;
    for (; r + 8 <= n; r += 8) {
      for (Index l = 0; l < 8; ++l) {
        values[r + l] *= weights[r + l];
        lanes[l] += values[r + l];
      }
    }
    for (Index l = 0; r < n; ++r, ++l) {
      values[r] *= weights[r];
      lanes[l] += values[r];
    }
    return sum_of(lanes);
  }

  static double sum_of(const double* l) {
    return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
  }

  /// Sums of all lanes.
  std::vector<double> reduced(std::vector<double> sums) const {
    if (!by_column_) return sums;
    std::vector<double> result(sums.size() / 8);
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = sum_of(sums.data() + 8 * i);
    return result;
  }

 private:
  static constexpr Index kPaddedStates = 16;
  static constexpr Index kMostCellsByColumn = 12;
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  void score(Index begin, Index n, Room& room) const {
    if (!by_column_) {
      room.votes.list(begin, n);
      simd::loops().add_votes(room.votes.start(), room.votes.column(), room.votes.state(), at(n),
                              patterns_.n_states, entries_.data(), base_.data(), at(width_),
                              room.cells.data(), kRows);
      return;
    }
    RowKeys(patterns_.n_columns, patterns_.n_states)
        .to_tile(patterns_.keys.data() + begin, n, room.tile);
    for (Index y = 0; y < k_; ++y) {
      look_up(room.tile, n, patterns_.n_columns,
              entries_.data() + y * patterns_.n_columns * kPaddedStates, kPaddedStates,
              base_[at(y)], room.cells.data() + y * kRows);
    }
  }

  void look_up(const StateTile& tile, Index n, Index n_columns, const double* tables, Index stride,
               double base, double* sums) const {
    simd::loops().add_looked_up(tile.states.data(), at(tile.stride), at(n), at(n_columns), tables,
                                at(stride), patterns_.n_states, base, sums);
  }

  /// Mixes the posteriors with the mean of what the row's votes say; not where there are none.
  void mix(Index n, Room& room) const {
    room.mean.resize(at((k_ + 1) * kRows));
    double* cells = room.cells.data();
    double* mean = room.mean.data();
    if (!by_column_) {
      std::vector<double> of_row(at(k_));
      for (Index r = 0; r < n; ++r) {
        if (!mean_vote(room.votes, vote_.of_state, k_, r, of_row.data())) continue;
        for (Index y = 0; y < k_; ++y) {
          double& p = cells[y * kRows + r];
          p = (1 - vote_.share) * p + vote_.share * of_row[at(y)];
        }
      }
      return;
    }
    double* n_votes = mean + k_ * kRows;
    look_up(room.tile, n, patterns_.n_columns, is_vote_.data(), 0, 0.0, n_votes);
    for (Index y = 0; y < k_; ++y) {
      double *of_vector = cells + y * kRows, *said = mean + y * kRows;
      look_up(room.tile, n, patterns_.n_columns,
              said_.data() + y * patterns_.n_columns * kPaddedStates, kPaddedStates, 0.0, said);
      for (Index r = 0; r < n; ++r) {
        const double share = n_votes[r] > 0 ? vote_.share : 0.0;
        const double mean_said = said[r] / std::max(n_votes[r], 1.0);
        of_vector[r] = (1 - share) * of_vector[r] + share * mean_said;
      }
    }
  }

  const Patterns& patterns_;
  const VoteShare& vote_;
  Index k_;
  Index width_;
  bool by_column_;
  std::vector<double> base_;     // (width,)
  std::vector<double> entries_;  // (K, n_columns, padded states), or (n_columns, n_states, width)
  std::vector<double> said_;     // (K, n_columns, padded states): what votes say
  std::vector<double> is_vote_;  // (padded states,)
};

}  // namespace

Expectation expect(const Patterns& patterns, const ScoreTable& table, const VoteShare& vote,
                   const Execution& execution) {
  check(patterns, table);
  if (vote.share > 0) check_votes(table, vote.of_state);
  const Expecting expecting(patterns, table, vote);
  const Chunks chunks(patterns, expecting.n_sums(), Expecting::kRows);
  std::vector<Expectation> parts(static_cast<std::size_t>(chunks.n));

  for_each_chunk(chunks.n, execution, [&](Index chunk, int worker) {
    Expectation& part = parts[static_cast<std::size_t>(chunk)];
    part.of_vector.assign(static_cast<std::size_t>(table.n_vectors), 0.0);
    std::vector<double> sums(static_cast<std::size_t>(expecting.n_sums()), 0.0);
    Expecting::Room room(patterns);
    for (Index u = chunks.begin(chunk); u < chunks.end(chunk); u += Expecting::kRows) {
      expecting.add(u, std::min(Expecting::kRows, chunks.end(chunk) - u), room, part, sums);
      if (worker == 0 && execution.poll) execution.poll();
    }
    part.of_state = expecting.reduced(std::move(sums));
  });

  Expectation total = std::move(parts[0]);
  for (std::size_t chunk = 1; chunk < parts.size(); ++chunk) {
    for (std::size_t i = 0; i < total.of_state.size(); ++i) {
      total.of_state[i] += parts[chunk].of_state[i];
    }
    for (std::size_t y = 0; y < total.of_vector.size(); ++y) {
      total.of_vector[y] += parts[chunk].of_vector[y];
    }
    total.log_likelihood += parts[chunk].log_likelihood;
  }
  return total;
}

std::vector<double> told_by_others(const Patterns& patterns, const ScoreTable& table,
                                   const VoteShare& vote, const Execution& execution) {
  check(patterns, table);
  if (vote.share > 0) check_votes(table, vote.of_state);
  const Index k = table.n_vectors;
  const Chunks chunks(patterns, static_cast<Index>(table.of_state.size()), 1);
  std::vector<std::vector<double>> parts(static_cast<std::size_t>(chunks.n));

  for_each_chunk(chunks.n, execution, [&](Index chunk, int worker) {
    std::vector<double>& part = parts[static_cast<std::size_t>(chunk)];
    part.assign(table.of_state.size(), 0.0);
    std::vector<double> scores(static_cast<std::size_t>(k)), mean(static_cast<std::size_t>(k)),
        r(static_cast<std::size_t>(k));
    PatternVotes votes(patterns);
    for (Index u = chunks.begin(chunk); u < chunks.end(chunk); ++u) {
      votes.list(u, 1);
      const std::size_t begin = votes.begin(0), end = votes.end(0);
      const double weight = patterns.weight[static_cast<std::size_t>(u)];
      if (end - begin < 2 || weight == 0) continue;
      const auto n = static_cast<double>(end - begin);
      scores_of(votes, table, 0, scores.data());
      if (vote.share > 0) mean_vote(votes, vote.of_state, k, 0, mean.data());
      for (std::size_t v = begin; v < end; ++v) {
        const Index at = votes.cell(v) * k;
        const double* added = table.of_state.data() + at;
        for (std::size_t y = 0; y < r.size(); ++y) r[y] = scores[y] - added[y];
        softmax(r.data(), k);
        if (vote.share > 0) {
          const double* said = vote.of_state.data() + at;
          for (std::size_t y = 0; y < r.size(); ++y) {
            r[y] = (1 - vote.share) * r[y] + vote.share * (n * mean[y] - said[y]) / (n - 1);
          }
        }
        for (std::size_t y = 0; y < r.size(); ++y) {
          part[static_cast<std::size_t>(at) + y] += weight * r[y];
        }
      }
      if (worker == 0 && u % kStretch == 0 && execution.poll) execution.poll();
    }
  });

  std::vector<double> total = std::move(parts[0]);
  for (std::size_t chunk = 1; chunk < parts.size(); ++chunk) {
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += parts[chunk][i];
  }
  return total;
}

std::vector<std::int32_t> preferred(const Patterns& patterns, const ScoreTable& table) {
  check(patterns, table);
  std::vector<std::int32_t> result(static_cast<std::size_t>(patterns.size()));
  std::vector<double> r(static_cast<std::size_t>(table.n_vectors));
  PatternVotes votes(patterns);
  for (Index u = 0; u < patterns.size(); ++u) {
    votes.list(u, 1);
    scores_of(votes, table, 0, r.data());
    softmax(r.data(), table.n_vectors);
    result[static_cast<std::size_t>(u)] =
        static_cast<std::int32_t>(std::max_element(r.begin(), r.end()) - r.begin());
  }
  return result;
}

HeldOut held_out_votes(const Patterns& patterns, const Forecast& forecast,
                       const Execution& execution) {
  const ScoreTable& table = forecast.scores;
  check(patterns, table);
  check_votes(table, forecast.vote_of_state);
  const bool is_given = !forecast.given.empty();
  if (forecast.of_vote.size() != table.of_state.size() ||
      (is_given && forecast.given.size() != table.of_state.size()) ||
      static_cast<Index>(forecast.included.size()) != patterns.n_columns) {
    throw std::invalid_argument("the forecast must be (n_columns, n_states, n_vectors)");
  }
  const auto k = static_cast<std::size_t>(table.n_vectors);
  const std::size_t n_shares = forecast.shares.size();
  const Chunks chunks(patterns, 1, 1);
  std::vector<HeldOut> parts(static_cast<std::size_t>(chunks.n));

  for_each_chunk(chunks.n, execution, [&](Index chunk, int worker) {
    HeldOut& part = parts[static_cast<std::size_t>(chunk)];
    part.log_likelihood.assign(forecast.temperatures.size() * n_shares, 0.0);
    std::vector<double> scores(k), others(k), mean(k);
    const std::vector<double> ones(k, 1.0);
    Products products(part.log_likelihood.size());
    PatternVotes votes(patterns);
    for (Index u = chunks.begin(chunk); u < chunks.end(chunk); ++u) {
      votes.list(u, 1);
      const std::size_t begin = votes.begin(0), stop = votes.end(0);
      const double weight = patterns.weight[static_cast<std::size_t>(u)];
      if (stop - begin < 2 || weight == 0) continue;
      const auto n = static_cast<double>(stop - begin);
      scores_of(votes, table, 0, scores.data());
      mean_vote(votes, forecast.vote_of_state, table.n_vectors, 0, mean.data());
      for (std::size_t v = begin; v < stop; ++v) {
        if (forecast.included[static_cast<std::size_t>(votes.column()[v])] == 0) continue;
        const Index at = votes.cell(v) * table.n_vectors;
        const double* added = table.of_state.data() + at;
        const double* of_vote = forecast.of_vote.data() + at;
        const double* given = is_given ? forecast.given.data() + at : ones.data();
        const double* said = forecast.vote_of_state.data() + at;
        double plain = 0, plain_given = 0, largest = -INFINITY;
        for (std::size_t y = 0; y < k; ++y) {
          others[y] = scores[y] - added[y];
          largest = std::max(largest, others[y]);
          const double of_others = (n * mean[y] - said[y]) / (n - 1);
          plain += of_others * of_vote[y];
          plain_given += of_others * given[y];
        }
        for (std::size_t t = 0; t < forecast.temperatures.size(); ++t) {
          double told = 0, told_given = 0, total = 0;
          for (std::size_t y = 0; y < k; ++y) {
            const double below = others[y] - largest;
            const double p = below == 0 ? 1.0 : std::exp(forecast.temperatures[t] * below);
            total += p;
            told += p * of_vote[y];
            told_given += p * given[y];
          }
          for (std::size_t w = 0; w < n_shares; ++w) {
            const double share = forecast.shares[w];
            const double p = (1 - share) * (told / total) + share * plain;
            double odds = std::max(p, 1e-9);
            if (is_given) {
              const double q = (1 - share) * (told_given / total) + share * plain_given;
              odds /= std::max(q, 1e-9);
            }
            products.of[t * n_shares + w] *= odds;
          }
        }
        part.n_votes += weight;
        products.next(weight, part.log_likelihood);
      }
      products.finish(weight, part.log_likelihood);
      if (worker == 0 && u % kStretch == 0 && execution.poll) execution.poll();
    }
  });

  HeldOut total = std::move(parts[0]);
  for (std::size_t chunk = 1; chunk < parts.size(); ++chunk) {
    for (std::size_t i = 0; i < total.log_likelihood.size(); ++i) {
      total.log_likelihood[i] += parts[chunk].log_likelihood[i];
    }
    total.n_votes += parts[chunk].n_votes;
  }
  return total;
}

}  // namespace consilience
