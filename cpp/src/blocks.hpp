// Cutting the items into blocks, the same ones for any number of threads.
#pragma once

#include <algorithm>

#include "consilience/types.hpp"

namespace consilience {

/// Blocks of a multiple of 64 rows: small enough for the cache and for a poll every few
/// milliseconds, even when every source votes on every row.
struct Blocks {
  static constexpr Index kMaxRows = 4096;

  explicit Blocks(const VoteView& votes)
      : Blocks(votes, std::clamp<Index>(
                          (Index{1} << 26) / (votes.n_sources * votes.n_sources + 1) / 64 * 64, 64,
                          kMaxRows)) {}
  Blocks(const VoteView& votes, Index rows_of_block) : Blocks(votes.n_items, rows_of_block) {}
  Blocks(Index n_rows, Index rows_of_block)
      : n_items(n_rows), rows(rows_of_block), n((n_items + rows - 1) / rows) {}

  Index begin(Index block) const { return block * rows; }
  Index size(Index block) const { return std::min(rows, n_items - block * rows); }

  Index n_items;
  Index rows;
  Index n;
};

}  // namespace consilience
