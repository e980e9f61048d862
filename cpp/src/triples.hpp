// Triples of votes of independent sources for the same state, row by row.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "consilience/moments.hpp"
#include "consilience/types.hpp"

namespace consilience {

/// Which sources are independent, as the kernels ask for it.
class Partition {
 public:
  Partition(const Relations& relations, Index m) : component_of_(relations.component_of) {
    if (!counts()) return;
    std::vector<std::vector<Index>> members(static_cast<std::size_t>(m));
    for (Index j = 0; j < m; ++j) members[component(j)].push_back(j);
    for (std::vector<Index>& group : members) {
      size_of.push_back(static_cast<Index>(group.size()));
      if (group.size() > 1) several.push_back(std::move(group));
    }
  }

  /// Whether triples are counted.
  bool counts() const { return !component_of_.empty(); }
  std::size_t component(Index j) const {
    return static_cast<std::size_t>(component_of_[static_cast<std::size_t>(j)]);
  }

  std::vector<Index> size_of;               // (m,) sources of each component
  std::vector<std::vector<Index>> several;  // components of more than one source

 private:
  const std::vector<std::int32_t>& component_of_;
};

/// Adds one row's triples, in time proportional to its votes, to those of the nodes in [low, high).
class RowTriples {
 public:
  RowTriples(const Partition& partition, Index m, std::int32_t n_states)
      : partition_(&partition), n_states_(n_states), votes_(static_cast<std::size_t>(n_states), 0) {
    if (partition.several.empty()) return;
    dependent_ = votes_;
    within_.assign(static_cast<std::size_t>(m * n_states), 0);
  }

  template <class Sum>
  void add(const std::int32_t* sources, const std::int32_t* states, const std::int32_t* nodes,
           std::size_t n_votes, Sum weight, Index low, Index high, Sum* triples) {
    if (n_votes < 3) return;
    for (std::size_t v = 0; v < n_votes; ++v) {
      const auto s = static_cast<std::size_t>(states[v]);
      ++votes_[s];
      // One more vote of a component of n makes n more pairs within it.
      if (!within_.empty()) dependent_[s] += within_[cell(sources[v], states[v])]++;
    }
    for (std::size_t v = 0; v < n_votes; ++v) {
      if (nodes[v] < low || nodes[v] >= high) continue;
      const auto s = static_cast<std::size_t>(states[v]);
      const Index c = votes_[s];
      const Index n = within_.empty() ? 1 : within_[cell(sources[v], states[v])];
      const Index same = within_.empty() ? 0 : dependent_[s];
      const Index pairs = c * (c - 1) / 2 - same - n * (c - n);
      triples[nodes[v]] += static_cast<Sum>(pairs) * weight;
    }
    for (std::size_t v = 0; v < n_votes; ++v) {
      const auto s = static_cast<std::size_t>(states[v]);
      votes_[s] = 0;
      if (within_.empty()) continue;
      dependent_[s] = 0;
      within_[cell(sources[v], states[v])] = 0;
    }
  }

 private:
  std::size_t cell(std::int32_t source, std::int32_t state) const {
    return partition_->component(source) * static_cast<std::size_t>(n_states_) +
           static_cast<std::size_t>(state);
  }

  const Partition* partition_;
  std::int32_t n_states_;
  std::vector<Index> votes_, dependent_, within_;  // all 0 between rows
};

}  // namespace consilience
