// Distinct rows of votes and how often each occurs: what repeated passes work on.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "consilience/states.hpp"
#include "consilience/types.hpp"

namespace consilience {

/// Rows that differ from each other: each one number of 64 bits where their votes fit into that,
/// lists of votes otherwise.
struct Patterns {
  std::vector<double> weight;  // (n_patterns,) items, or their weights, summed in order of items
  std::vector<std::uint64_t> keys;  // (n_patterns,) of `RowKeys`, or empty
  // Votes of pattern u at [start[u], start[u + 1]), by increasing column; empty where there are
  // keys.
  std::vector<std::int64_t> start;   // (n_patterns + 1,)
  std::vector<std::int32_t> column;  // (n_votes,)
  std::vector<std::int32_t> state;   // (n_votes,) from 1 on
  Index n_votes = 0;                 // of all patterns
  Index n_columns = 0;
  std::int32_t n_states = 0;

  Index size() const { return static_cast<Index>(weight.size()); }
  bool is_keyed() const { return start.empty(); }
};

/// What items weigh; borrowed.
struct ItemWeights {
  const double* weights;         // (n_items,) or null: each item then counts once,
  const std::uint8_t* left_out;  // (n_items,) or null: but for those where it is nonzero

  ItemWeights(const double* of_items, const std::uint8_t* are_left_out = nullptr)
      : weights(of_items), left_out(are_left_out) {}

  bool are_equal() const { return weights == nullptr && left_out == nullptr; }
  double operator()(Index item) const {
    if (left_out != nullptr && left_out[item] != 0) return 0.0;
    return weights == nullptr ? 1.0 : weights[item];
  }
};

/// One pass; memory for the distinct rows and 48 MiB. The row without votes is a pattern too, where
/// it occurs, and so are rows that weigh nothing.
///
/// Rows that fit into 64 bits come in an order that depends on the set of them alone; others are
/// hashed, and come in the order in which they first occur.
Patterns find_patterns(const StateReader& reader, const ItemWeights& weights,
                       const Execution& execution);

/// The same; none if there are more than `at_most` patterns, which ends the pass early.
std::optional<Patterns> find_few_patterns(const StateReader& reader, const ItemWeights& weights,
                                          Index at_most, const Execution& execution);

/// Some of the patterns under other weights, with the votes of some columns only, which are
/// numbered anew. Rows that no longer differ stay apart, in the order of `rows`, so that two
/// selections of the same rows line up.
/// @throws std::invalid_argument if a row is out of range or the lengths do not fit.
Patterns select(const Patterns& patterns, const std::vector<std::int64_t>& rows,
                const std::vector<double>& weights, const std::vector<std::uint8_t>& columns);

/// About one in `one_in` of the items, by pattern: floor(weight / one_in + u) of each, with u in
/// [0, 1) drawn by hashing its votes. Which rows are drawn depends neither on how items are ordered
/// or columns numbered, nor on the number of threads.
/// @throws std::invalid_argument if `one_in` is not positive.
Patterns thinned(const Patterns& patterns, double one_in, const Execution& execution);

/// The same rows with other numbers of their states: `number`, (n_columns, n_states), below the new
/// `n_states`; votes whose number is 0 are left out.
/// @throws std::invalid_argument if a number is out of range or their count does not fit.
Patterns with_states(const Patterns& patterns, const std::vector<std::int32_t>& number,
                     std::int32_t n_states);

/// The same rows with a column, of one state, for each (column, state) that is kept, (n_columns,
/// n_states), in that order; other votes are left out.
/// @throws std::invalid_argument if `kept` does not fit.
Patterns with_column_per_state(const Patterns& patterns, const std::vector<std::uint8_t>& kept);

/// Votes of each pattern, (n_patterns,).
std::vector<std::int64_t> count_votes(const Patterns& patterns);

/// The same patterns, without keys.
Patterns listed(const Patterns& patterns);

}  // namespace consilience
