// The indicators of (source, state).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "consilience/moments.hpp"

namespace consilience {

/// The indicators, numbered by source, then state.
class Nodes {
 public:
  /// Every (source, state) where `occurs`, (m, n_states), is nonzero.
  Nodes(const std::vector<std::uint8_t>& occurs, Index m, std::int32_t n_states)
      : n_states_(n_states), node_(occurs.size(), -1), first_(static_cast<std::size_t>(m) + 1, 0) {
    for (Index j = 0; j < m; ++j) {
      for (std::int32_t s = 1; s < n_states; ++s) {
        if (occurs[cell(j, s)] == 0) continue;
        node_[cell(j, s)] = static_cast<std::int32_t>(source.size());
        source.push_back(static_cast<std::int32_t>(j));
        state.push_back(s);
      }
      first_[static_cast<std::size_t>(j) + 1] = size();
    }
    if (size() > kMaxNodes) {
      // 8 bytes a pair; 2^20 of them make a MiB.
      throw std::invalid_argument(
          std::to_string(size()) + " indicators (source, label) occur, whose pairs would take " +
          std::to_string((8 * size() * size()) >> 20) + " MiB; of at most " +
          std::to_string(kMaxNodes) + " are they counted");
    }
  }

  Index size() const { return static_cast<Index>(source.size()); }
  Index first_of(Index j) const { return first_[static_cast<std::size_t>(j)]; }
  Index operator()(Index j, std::int32_t s) const { return node_[cell(j, s)]; }

  std::vector<std::int32_t> source;
  std::vector<std::int32_t> state;

 private:
  std::size_t cell(Index j, std::int32_t s) const {
    return static_cast<std::size_t>(j * n_states_ + s);
  }
  std::int32_t n_states_;
  std::vector<std::int32_t> node_;
  std::vector<Index> first_;
};

}  // namespace consilience
