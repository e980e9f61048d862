// P(Y | votes) for every item, and the label it prefers.
#pragma once

#include <cstdint>
#include <vector>

#include "consilience/states.hpp"
#include "consilience/types.hpp"

namespace consilience {

/// How a row's scores over the K feasible vectors become probabilities.
enum class Link : std::uint8_t {
  softmax,  // scores are log-probabilities up to a constant: eq. [T12]
  share,    // scores are counts: each divided by their sum (majority vote)
};

/// What each vote adds to the score of each feasible vector.
struct ScoreTable {
  Index n_vectors;               // K
  std::vector<double> base;      // (K,) score of a row without votes
  std::vector<double> of_state;  // (m, n_states, K); state 0 adds nothing and is not read
  Link link;
};

/// Where probabilities go: those of the vectors of one class are added up.
struct Marginal {
  std::vector<std::int32_t> class_of_vector;  // (K,)
  Index n_classes;
  double* out;  // (n_items, n_classes) row by row
};

/// Fills every marginal. Rows are independent of each other: the same bits for any number of
/// threads, dense or sparse.
void posterior(const StateReader& reader, const ScoreTable& table,
               const std::vector<Marginal>& marginals, const Execution& execution);

/// Index of the highest-scoring feasible vector of every item; among those within 1e-9 of the
/// highest, the one that comes first in `preference`, a permutation of 0 .. K - 1.
void most_probable(const StateReader& reader, const ScoreTable& table,
                   const std::vector<std::int32_t>& preference, std::int64_t* out,
                   const Execution& execution);

}  // namespace consilience
