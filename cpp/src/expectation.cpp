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

/// Posterior of one pattern into `r`, (K,); returns the logarithm of its likelihood.
double posterior_of(const Patterns& patterns, const ScoreTable& table, Index u, double* r) {
  const Index k = table.n_vectors;
  std::copy(table.base.begin(), table.base.end(), r);
  for (auto v = static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u)]);
       v < static_cast<std::size_t>(patterns.start[static_cast<std::size_t>(u) + 1]); ++v) {
    const double* added = table.of_state.data() +
                          (Index{patterns.column[v]} * patterns.n_states + patterns.state[v]) * k;
    for (Index y = 0; y < k; ++y) r[y] += added[y];
  }
  const double largest = *std::max_element(r, r + k);
  double total = 0;
  for (Index y = 0; y < k; ++y) {
    r[y] = std::exp(r[y] - largest);
    total += r[y];
  }
  for (Index y = 0; y < k; ++y) r[y] /= total;
  return largest + std::log(total);
}

/// Posterior without one vote, from the one with it; returns 1 - entropy / log K.
double without(const double* r, const double* added, Index k, double* rest) {
  double largest = added[0];
  for (Index y = 1; y < k; ++y) largest = std::min(largest, added[y]);
  double total = 0;
  for (Index y = 0; y < k; ++y) {
    rest[y] = r[y] * std::exp(largest - added[y]);  // exponents at most 0
    total += rest[y];
  }
  if (!(total > 0)) {
    std::fill(rest, rest + k, 1.0 / static_cast<double>(k));
    return 0.0;
  }
  double entropy = 0;
  for (Index y = 0; y < k; ++y) {
    rest[y] /= total;
    if (rest[y] > 0) entropy -= rest[y] * std::log(rest[y]);
  }
  return k > 1 ? std::max(0.0, 1 - entropy / std::log(static_cast<double>(k))) : 1.0;
}

}  // namespace

Expectation expect(const Patterns& patterns, const ScoreTable& table, Counting counting,
                   const Execution& execution) {
  check(patterns, table);
  const Index k = table.n_vectors;
  const Index most = std::clamp<Index>(
      kMaxCells / std::max<Index>(1, static_cast<Index>(table.of_state.size())), 4, kMaxChunks);
  const Index chunk_size = std::max(kMinChunk, (patterns.size() + most - 1) / most);
  const Index n_chunks = std::max<Index>(1, (patterns.size() + chunk_size - 1) / chunk_size);
  std::vector<Expectation> parts(static_cast<std::size_t>(n_chunks));

  for_each_chunk(n_chunks, execution, [&](Index chunk, int worker) {
    Expectation& part = parts[static_cast<std::size_t>(chunk)];
    part.of_state.assign(table.of_state.size(), 0.0);
    part.of_vector.assign(static_cast<std::size_t>(k), 0.0);
    std::vector<double> r(static_cast<std::size_t>(k)), rest(static_cast<std::size_t>(k));
    const Index end = std::min(patterns.size(), (chunk + 1) * chunk_size);
    for (Index u = chunk * chunk_size; u < end; ++u) {
      const auto i = static_cast<std::size_t>(u);
      const double weight = patterns.weight[i];
      part.log_likelihood += weight * posterior_of(patterns, table, u, r.data());
      for (Index y = 0; y < k; ++y)
        part.of_vector[static_cast<std::size_t>(y)] += weight * r[static_cast<std::size_t>(y)];
      for (auto v = static_cast<std::size_t>(patterns.start[i]);
           v < static_cast<std::size_t>(patterns.start[i + 1]); ++v) {
        const Index at = (Index{patterns.column[v]} * patterns.n_states + patterns.state[v]) * k;
        double* sums = part.of_state.data() + at;
        const double* counted = r.data();
        double share = weight;
        if (counting == Counting::leave_one_out) {
          share *= without(r.data(), table.of_state.data() + at, k, rest.data());
          counted = rest.data();
        }
        for (Index y = 0; y < k; ++y) sums[y] += share * counted[y];
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

}  // namespace consilience
