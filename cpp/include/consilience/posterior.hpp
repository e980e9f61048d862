// P(Y | votes) for every item, and the label it prefers.
#pragma once

#include <cstdint>
#include <variant>
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

/// One of several score tables whose posteriors are averaged.
struct WeightedScores {
  double weight;  // of its posterior; those of all tables are positive and sum to 1
  ScoreTable scores;
};

/// Where probabilities go: those of the vectors of one class are added up.
struct Marginal {
  std::vector<std::int32_t> class_of_vector;  // (K,)
  Index n_classes;
  std::variant<double*, float*> out;  // (n_items, n_classes) row by row; float is rounded once
};

/// How the answers of many items are found. Every way gives the same bits.
enum class RowStrategy : std::uint8_t {
  automatic,      // the cheapest one, by the number of possible rows and a sample of the rows
  every_item,     // each item by itself
  possible_rows,  // a table of all rows there can be, from which each item's answer is copied
  distinct_rows,  // a table of the rows met so far
};

/// Largest table of answers, in bytes: of all threads together for `possible_rows`, of each thread
/// for `distinct_rows`, votes included, which goes on with `every_item` where it would be larger.
inline constexpr Index kMaxAnswerTable = Index{1} << 24;

/// Fills every marginal of the mean posterior, in one pass whatever the number of tables. Rows are
/// independent of each other and tables are added in order: the same bits for any number of
/// threads, dense or sparse.
/// @throws std::invalid_argument if a score table does not fit the votes, the weights are not as
/// they should be, or `possible_rows` is asked for where its table would be too large.
void posterior(const StateReader& reader, const std::vector<WeightedScores>& parts,
               const std::vector<Marginal>& marginals, const Execution& execution,
               RowStrategy strategy = RowStrategy::automatic);

/// Index of the preferred feasible vector of every item: of those whose score (the mean posterior,
/// where there are several tables) is within 1e-9 of the highest, the one that comes first in
/// `preference`, a permutation of 0 .. K - 1.
void most_probable(const StateReader& reader, const std::vector<WeightedScores>& parts,
                   const std::vector<std::int32_t>& preference, std::int64_t* out,
                   const Execution& execution, RowStrategy strategy = RowStrategy::automatic);

}  // namespace consilience
