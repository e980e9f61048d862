// The expectation step of EM: what sources are expected to have done under each label vector.
#pragma once

#include <vector>

#include "consilience/patterns.hpp"
#include "consilience/posterior.hpp"
#include "consilience/types.hpp"

namespace consilience {

/// Sums over the patterns u, with R_uy = P(Y = y | votes of u) under the scores.
struct Expectation {
  std::vector<double>
      of_state;  // (n_columns, n_states, K) sum of w_u R_uy over u in the state; state 0 is 0
  std::vector<double> of_vector;  // (K,) sum of w_u R_uy
  double log_likelihood = 0;      // sum of w_u log sum_y exp(score_uy)
};

/// Whose opinion of the label a vote is counted under.
enum class Counting : std::uint8_t {
  full,           // the posterior of all votes of the row
  leave_one_out,  // the posterior of the other votes, weighed by 1 - entropy / log K: no vote
                  // confirms itself, and one that stands alone counts nothing
};

/// One pass over the patterns, with softmax scores.
///
/// Chunks of patterns are the same for any number of threads and their sums are added in order:
/// the same bits.
/// @throws std::invalid_argument if the table does not fit the patterns or its link is not softmax.
Expectation expect(const Patterns& patterns, const ScoreTable& table, Counting counting,
                   const Execution& execution);

}  // namespace consilience
