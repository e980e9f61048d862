#include "consilience/expectation.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "consilience/parallel.hpp"

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

/// Which of the (n_columns, n_states) cells the v-th vote is in.
Index cell_of(const Patterns& patterns, std::size_t v) {
  return Index{patterns.column[v]} * patterns.n_states + patterns.state[v];
}

/// Scores of one pattern into `r`, (K,).
void scores_of(const Patterns& patterns, const ScoreTable& table, Index u, double* r) {
  const Index k = table.n_vectors;
  std::copy(table.base.begin(), table.base.end(), r);
  const auto end = static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u) + 1]);
  for (auto v = static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u)]); v < end;
       ++v) {
    const double* added = table.of_state.data() + cell_of(patterns, v) * k;
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

/// Posterior of one pattern into `r`, (K,); returns the logarithm of its likelihood.
double posterior_of(const Patterns& patterns, const ScoreTable& table, Index u, double* r) {
  const Index k = table.n_vectors;
  scores_of(patterns, table, u, r);
  return softmax(r, k);
}

void check_votes(const ScoreTable& table, const std::vector<double>& vote_of_state) {
  if (vote_of_state.size() != table.of_state.size()) {
    throw std::invalid_argument("what votes say must be (n_columns, n_states, n_vectors)");
  }
}

/// What the votes of a pattern say on average, into `mean`, (K,); false if there are none.
bool mean_vote(const Patterns& patterns, const std::vector<double>& of_state, Index k, Index u,
               double* mean) {
  const auto begin = static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u)]);
  const auto end = static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u) + 1]);
  std::fill(mean, mean + k, 0.0);
  for (std::size_t v = begin; v < end; ++v) {
    const double* said = of_state.data() + cell_of(patterns, v) * k;
    for (Index y = 0; y < k; ++y) mean[y] += said[y];
  }
  for (Index y = 0; y < k; ++y) mean[y] /= static_cast<double>(end - begin);
  return end > begin;
}

/// Chunks of patterns whose sums are added in order: the same for any number of threads.
struct Chunks {
  Index n_patterns, size, n;

  Chunks(const Patterns& patterns, const ScoreTable& table) : n_patterns(patterns.size()) {
    const Index most = std::clamp<Index>(
        kMaxCells / std::max<Index>(1, static_cast<Index>(table.of_state.size())), 4, kMaxChunks);
    size = std::max(kMinChunk, (n_patterns + most - 1) / most);
    n = std::max<Index>(1, (n_patterns + size - 1) / size);
  }
  Index begin(Index chunk) const { return chunk * size; }
  Index end(Index chunk) const { return std::min(n_patterns, (chunk + 1) * size); }
};

}  // namespace

Expectation expect(const Patterns& patterns, const ScoreTable& table, const VoteShare& vote,
                   const Execution& execution) {
  check(patterns, table);
  if (vote.share > 0) check_votes(table, vote.of_state);
  const Index k = table.n_vectors;
  const Chunks chunks(patterns, table);
  std::vector<Expectation> parts(static_cast<std::size_t>(chunks.n));

  for_each_chunk(chunks.n, execution, [&](Index chunk, int worker) {
    Expectation& part = parts[static_cast<std::size_t>(chunk)];
    part.of_state.assign(table.of_state.size(), 0.0);
    part.of_vector.assign(static_cast<std::size_t>(k), 0.0);
    std::vector<double> r(static_cast<std::size_t>(k)), mean(static_cast<std::size_t>(k));
    for (Index u = chunks.begin(chunk); u < chunks.end(chunk); ++u) {
      const auto i = static_cast<std::size_t>(u);
      const double weight = patterns.weight[i];
      if (weight == 0) continue;
      part.log_likelihood += weight * posterior_of(patterns, table, u, r.data());
      if (vote.share > 0 && mean_vote(patterns, vote.of_state, k, u, mean.data())) {
        for (std::size_t y = 0; y < r.size(); ++y) {
          r[y] = (1 - vote.share) * r[y] + vote.share * mean[y];
        }
      }
      for (std::size_t y = 0; y < r.size(); ++y) part.of_vector[y] += weight * r[y];
      for (auto v = static_cast<std::size_t>(patterns.start[i]);
           v < static_cast<std::size_t>(patterns.start[i + 1]); ++v) {
        double* sums = part.of_state.data() + cell_of(patterns, v) * k;
        for (Index y = 0; y < k; ++y) sums[y] += weight * r[static_cast<std::size_t>(y)];
      }
      if (worker == 0 && u % kStretch == 0 && execution.poll) execution.poll();
    }
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
  const Chunks chunks(patterns, table);
  std::vector<std::vector<double>> parts(static_cast<std::size_t>(chunks.n));

  for_each_chunk(chunks.n, execution, [&](Index chunk, int worker) {
    std::vector<double>& part = parts[static_cast<std::size_t>(chunk)];
    part.assign(table.of_state.size(), 0.0);
    std::vector<double> scores(static_cast<std::size_t>(k)), mean(static_cast<std::size_t>(k)),
        r(static_cast<std::size_t>(k));
    for (Index u = chunks.begin(chunk); u < chunks.end(chunk); ++u) {
      const auto begin = static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u)]);
      const auto end = static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u) + 1]);
      const double weight = patterns.weight[static_cast<std::size_t>(u)];
      if (end - begin < 2 || weight == 0) continue;
      const auto n = static_cast<double>(end - begin);
      scores_of(patterns, table, u, scores.data());
      if (vote.share > 0) mean_vote(patterns, vote.of_state, k, u, mean.data());
      for (std::size_t v = begin; v < end; ++v) {
        const Index at = cell_of(patterns, v) * k;
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
  for (Index u = 0; u < patterns.size(); ++u) {
    posterior_of(patterns, table, u, r.data());
    result[static_cast<std::size_t>(u)] =
        static_cast<std::int32_t>(std::max_element(r.begin(), r.end()) - r.begin());
  }
  return result;
}

HeldOut held_out_votes(const Patterns& patterns, const Forecast& forecast, Index most,
                       const Execution& execution) {
  const ScoreTable& table = forecast.scores;
  check(patterns, table);
  check_votes(table, forecast.vote_of_state);
  if (forecast.of_vote.size() != table.of_state.size() ||
      static_cast<Index>(forecast.included.size()) != patterns.n_columns) {
    throw std::invalid_argument("the forecast must be (n_columns, n_states, n_vectors)");
  }
  const auto k = static_cast<std::size_t>(table.n_vectors);
  const std::size_t n_shares = forecast.shares.size();
  const auto n_votes = static_cast<Index>(patterns.column.size());
  const Index every = std::max<Index>(1, (n_votes + most - 1) / std::max<Index>(1, most));
  const Index n_taken = (patterns.size() + every - 1) / every;
  const Index chunk_size = std::max(kMinChunk, (n_taken + kMaxChunks - 1) / kMaxChunks);
  const Index n_chunks = std::max<Index>(1, (n_taken + chunk_size - 1) / chunk_size);
  std::vector<HeldOut> parts(static_cast<std::size_t>(n_chunks));

  for_each_chunk(n_chunks, execution, [&](Index chunk, int worker) {
    HeldOut& part = parts[static_cast<std::size_t>(chunk)];
    part.log_likelihood.assign(forecast.temperatures.size() * n_shares, 0.0);
    std::vector<double> scores(k), others(k), mean(k);
    const Index end = std::min(n_taken, (chunk + 1) * chunk_size);
    for (Index taken = chunk * chunk_size; taken < end; ++taken) {
      const Index u = taken * every;
      const auto begin = static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u)]);
      const auto stop = static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u) + 1]);
      const double weight = patterns.weight[static_cast<std::size_t>(u)];
      if (stop - begin < 2 || weight == 0) continue;
      const auto n = static_cast<double>(stop - begin);
      scores_of(patterns, table, u, scores.data());
      mean_vote(patterns, forecast.vote_of_state, table.n_vectors, u, mean.data());
      for (std::size_t v = begin; v < stop; ++v) {
        if (forecast.included[static_cast<std::size_t>(patterns.column[v])] == 0) continue;
        const Index at = cell_of(patterns, v) * table.n_vectors;
        const double* added = table.of_state.data() + at;
        const double* of_vote = forecast.of_vote.data() + at;
        const double* said = forecast.vote_of_state.data() + at;
        double plain = 0, largest = -INFINITY;
        for (std::size_t y = 0; y < k; ++y) {
          others[y] = scores[y] - added[y];
          largest = std::max(largest, others[y]);
          plain += (n * mean[y] - said[y]) / (n - 1) * of_vote[y];
        }
        for (std::size_t t = 0; t < forecast.temperatures.size(); ++t) {
          double total = 0, told = 0;
          for (std::size_t y = 0; y < k; ++y) {
            const double p = std::exp(forecast.temperatures[t] * (others[y] - largest));
            total += p;
            told += p * of_vote[y];
          }
          for (std::size_t w = 0; w < n_shares; ++w) {
            const double share = forecast.shares[w];
            const double p = (1 - share) * (told / total) + share * plain;
            part.log_likelihood[t * n_shares + w] += weight * std::log(std::max(p, 1e-9));
          }
        }
        part.n_votes += weight;
      }
      if (worker == 0 && taken % kStretch == 0 && execution.poll) execution.poll();
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
