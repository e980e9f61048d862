// Distinct rows of votes and their numbers, by hashing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "consilience/types.hpp"

namespace consilience {

/// Open addressing over the rows found so far, numbered in the order in which they came.
class RowIndex {
 public:
  RowIndex() : start_(1, 0), slots_(1024, kEmpty) {}

  /// Number of the row with these votes, added if it is new.
  Index find_or_add(const std::int32_t* columns, const std::int32_t* states, std::size_t n) {
    std::uint64_t hash = n;
    for (std::size_t v = 0; v < n; ++v) {
      const auto vote =
          static_cast<std::uint64_t>(columns[v]) << 32 | static_cast<std::uint64_t>(states[v]);
      hash = (hash ^ vote) * 0x9e3779b97f4a7c15ULL;
      hash ^= hash >> 29;
    }
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    std::size_t slot = hash & (slots_.size() - 1);
    for (; slots_[slot].row != kEmpty.row; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot].tag == tag && equals(slots_[slot].row, columns, states, n)) {
        return static_cast<Index>(slots_[slot].row);
      }
    }
    slots_[slot] = {static_cast<std::uint32_t>(hashes_.size()), tag};
    hashes_.push_back(hash);
    columns_.insert(columns_.end(), columns, columns + n);
    states_.insert(states_.end(), states, states + n);
    start_.push_back(static_cast<std::int64_t>(columns_.size()));
    if (2 * hashes_.size() > slots_.size()) grow();
    return size() - 1;
  }

  Index size() const { return static_cast<Index>(hashes_.size()); }
  std::size_t n_bytes() const {
    return slots_.capacity() * sizeof(Slot) + 8 * (hashes_.capacity() + start_.capacity()) +
           4 * (columns_.capacity() + states_.capacity());
  }

  /// The votes of row u are those at [start[u], start[u + 1]), by increasing column.
  const std::vector<std::int64_t>& start() const { return start_; }
  std::vector<std::int32_t>& columns() { return columns_; }
  std::vector<std::int32_t>& states() { return states_; }

 private:
  struct Slot {
    std::uint32_t row;
    std::uint32_t tag;  // upper half of the row's hash
  };
  static constexpr Slot kEmpty{UINT32_MAX, 0};

  bool equals(std::uint32_t row, const std::int32_t* columns, const std::int32_t* states,
              std::size_t n) const {
    const auto begin = start_[row], end = start_[row + 1];
    return static_cast<std::size_t>(end - begin) == n &&
           std::equal(columns, columns + n, columns_.begin() + begin) &&
           std::equal(states, states + n, states_.begin() + begin);
  }

  void grow() {
    slots_.assign(2 * slots_.size(), kEmpty);
    for (std::size_t row = 0; row < hashes_.size(); ++row) {
      std::size_t slot = hashes_[row] & (slots_.size() - 1);
      while (slots_[slot].row != kEmpty.row) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = {static_cast<std::uint32_t>(row),
                      static_cast<std::uint32_t>(hashes_[row] >> 32)};
    }
  }

  std::vector<std::int64_t> start_;
  std::vector<std::int32_t> columns_;
  std::vector<std::int32_t> states_;
  std::vector<Slot> slots_;
  std::vector<std::uint64_t> hashes_;
};

}  // namespace consilience
