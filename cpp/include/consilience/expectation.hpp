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

/// A part of the plain vote in the opinion that votes are counted under.
struct VoteShare {
  double share = 0;              // in [0, 1]; rows without votes have none
  std::vector<double> of_state;  // (n_columns, n_states, K) what a vote says of the label: rows sum
                                 // to 1, state 0 is not read; may be empty where the share is 0
};

/// One pass over the patterns, with softmax scores. R is mixed with the mean of what the row's
/// votes say, by their share; the log-likelihood is that of the scores alone.
///
/// Chunks of patterns are the same for any number of threads and their sums are added in order:
/// the same bits.
/// @throws std::invalid_argument if the tables do not fit the patterns or the link is not softmax.
Expectation expect(const Patterns& patterns, const ScoreTable& table, const VoteShare& vote,
                   const Execution& execution);

/// The same over all items, read as they are wanted, each counted once: for votes of which nearly
/// all rows differ. No memory for the items. `left_out`, (n_items,), is nonzero where an item is
/// not counted; it may be null.
///
/// Probabilities are rounded to multiples of 2^-31, so that their sums are exact: `of_state` and
/// `of_vector` are the same bits for any order of the items, and everything is for any number of
/// threads, dense or sparse.
/// @throws std::invalid_argument if the table does not fit the votes or the link is not softmax.
/// @throws LabelOutOfRange for the first bad label.
Expectation expect_items(const StateReader& reader, const std::uint8_t* left_out,
                         const ScoreTable& table, const Execution& execution);

/// The same over distinct rows, each counted as often as it weighs: `of_state` and `of_vector` have
/// the bits of a pass over the items themselves, and the log-likelihood all but its last digits.
/// @throws std::invalid_argument also if a weight is no whole number, or all exceed 2^32 together.
Expectation expect_exactly(const Patterns& patterns, const ScoreTable& table,
                           const Execution& execution);

/// What the other votes of its row say of each vote's label: sums over the patterns with two votes
/// or more of w_u P(Y = y | votes of u but this one), (n_columns, n_states, K), mixed with the mean
/// of what the others plainly say. The same bits for any number of threads.
/// @throws std::invalid_argument as `expect`.
std::vector<double> told_by_others(const Patterns& patterns, const ScoreTable& table,
                                   const VoteShare& vote, const Execution& execution);

/// Highest-scoring vector of each pattern, the first among equal ones.
/// @throws std::invalid_argument as `expect`.
std::vector<std::int32_t> preferred(const Patterns& patterns, const ScoreTable& table);

/// How well every vote is foretold by the others.
struct HeldOut {
  std::vector<double> log_likelihood;  // (n_temperatures, n_shares)
  double n_votes = 0;                  // weight of the votes that were foretold
};

/// What foretells a vote: of its row's other votes, a softmax of the scores times a temperature,
/// mixed with a share of what these votes plainly say.
struct Forecast {
  const ScoreTable& scores;
  const std::vector<double>& vote_of_state;  // (n_columns, n_states, K) as in `VoteShare`
  const std::vector<double>& of_vote;        // (n_columns, n_states, K) P(state | votes, Y = y)
  const std::vector<double>& given;          // what is known of each vote, or empty: its odds alike
  std::vector<std::uint8_t> included;        // (n_columns,) whose votes are to be foretold
  std::vector<double> temperatures, shares;
};

/// Log-likelihood of held-out votes under each temperature and share, divided by that of what is
/// given of them. Rows with one vote are left out.
/// @throws std::invalid_argument as `expect`.
HeldOut held_out_votes(const Patterns& patterns, const Forecast& forecast,
                       const Execution& execution);

}  // namespace consilience
