// Counts of the indicators psi(O) of the votes, the data inputs of every method.
#pragma once

#include <cstdint>
#include <vector>

#include "consilience/states.hpp"
#include "consilience/types.hpp"

namespace consilience {

/// Two ways to the same counts.
enum class MomentsKernel : std::uint8_t {
  automatic,   // the cheaper one by a cost model, from a sample of the rows
  bit_planes,  // AND + population count over all pairs of indicators: dense votes, few indicators
  row_lists,   // an increment for every pair of votes of a row: sparse votes, many indicators
};

/// How votes relate to each other.
struct Relations {
  /// One task: two states conflict when they differ. Otherwise `disjoint` says so.
  bool conflict_by_difference;
  std::vector<std::uint8_t>
      disjoint;  // (n_states, n_states), 1 where the events have no common vector
  /// (m,) in [0, m): sources of different components are independent given the labels. Empty:
  /// triples are not counted.
  std::vector<std::int32_t> component_of = {};
};

/// Sums over the items; `Sum` is int64 for items that count once or a whole number of times,
/// double for any other weights.
template <class Sum>
struct Moments {
  std::vector<std::int32_t> node_source;  // (d,) indicators that occur, by source, then state
  std::vector<std::int32_t> node_state;   // (d,)
  std::vector<Sum> pairs;                 // (d, d) symmetric: items on which both indicators are 1
  /// (d,) pairs of further sources that vote for the same state on the same item, all three of
  /// different components: each triple counts once for each of its indicators. Empty if not asked.
  std::vector<Sum> triples;
  std::vector<Sum> votes;      // (m,) items on which the source votes
  std::vector<Sum> overlaps;   // (m,) of those, on which another source votes too
  std::vector<Sum> conflicts;  // (m,) of those, on which another contradicts it
  Sum n_covered = 0;           // items with at least one vote
};

/// Largest number of indicators for which `count_moments` makes a (d, d) table.
inline constexpr Index kMaxNodes = 11585;  // 1 GiB of 8-byte cells

/// One pass over the votes (two when there are many sources or states).
///
/// Exact, hence the same for any number of threads, kernel and input layout, as long as the items
/// times (m - 1)(m - 2) / 2 stay below 2^63.
/// @throws std::invalid_argument if more than `kMaxNodes` indicators occur.
Moments<std::int64_t> count_moments(const StateReader& reader, const Relations& relations,
                                    MomentsKernel kernel, const Execution& execution);

/// The same with a weight for every item, (n_items,), each at least 0.
///
/// Whole-numbered weights (int64, their sum below 2^53) give exact counts. Floating weights are
/// added cell by cell in the order of the items, whatever the number of threads.
Moments<std::int64_t> count_moments(const StateReader& reader, const Relations& relations,
                                    const std::int64_t* weights, const Execution& execution);
Moments<double> count_moments(const StateReader& reader, const Relations& relations,
                              const double* weights, const Execution& execution);

/// What `count_moments` counts of each indicator and source alone: memory for m n_states counts.
template <class Sum>
struct Marginals {
  std::vector<Sum> counts;    // (m, n_states) items on which the source is in the state; state 0: 0
  std::vector<Sum> overlaps;  // (m,) votes on items on which another source votes too
  std::vector<Sum> conflicts;  // (m,) of those, which another contradicts
  Sum n_covered = 0;           // items with at least one vote
};

/// One pass, without any pairs. `weights`, (n_items,), may be null: each item then counts once.
/// Whole counts do not depend on the number of threads; floating weights are added by one, in the
/// order of the items.
Marginals<std::int64_t> count_marginals(const StateReader& reader, const Relations& relations,
                                        const std::int64_t* weights, const Execution& execution);
Marginals<double> count_marginals(const StateReader& reader, const Relations& relations,
                                  const double* weights, const Execution& execution);

/// The kernel that `automatic` takes.
MomentsKernel choose_kernel(const StateReader& reader);

}  // namespace consilience
