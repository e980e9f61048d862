// The votes of patterns, one after the other, however they are held.
#pragma once

#include <cstdint>
#include <vector>

#include "consilience/patterns.hpp"
#include "row_keys.hpp"

namespace consilience {

/// Votes of some consecutive patterns, by increasing column; read off their keys where they have
/// any. One for each worker.
class PatternVotes {
 public:
  explicit PatternVotes(const Patterns& patterns)
      : patterns_(&patterns),
        keys_(patterns.is_keyed() ? RowKeys(patterns.n_columns, patterns.n_states)
                                  : RowKeys(1, 1)) {}

  /// Lists those of patterns [first, first + n), until the next call.
  void list(Index first, Index n) {
    if (!patterns_->is_keyed()) {
      start_ = patterns_->start.data() + first;
      column_ = patterns_->column.data();
      state_ = patterns_->state.data();
      return;
    }
    own_start_.resize(static_cast<std::size_t>(n) + 1);
    own_start_[0] = 0;
    const auto most = static_cast<std::size_t>(n * patterns_->n_columns);
    if (own_column_.size() < most) {
      own_column_.resize(most);
      own_state_.resize(most);
    }
    Index end = 0;
    for (Index r = 0; r < n; ++r) {
      end += keys_.list_votes(patterns_->keys[static_cast<std::size_t>(first + r)],
                              own_column_.data() + end, own_state_.data() + end);
      own_start_[static_cast<std::size_t>(r) + 1] = end;
    }
    start_ = own_start_.data();
    column_ = own_column_.data();
    state_ = own_state_.data();
  }

  /// The votes of the r-th of them are those at [start[r], start[r + 1]).
  const std::int64_t* start() const { return start_; }
  const std::int32_t* column() const { return column_; }
  const std::int32_t* state() const { return state_; }

  std::size_t begin(Index r) const { return static_cast<std::size_t>(start_[r]); }
  std::size_t end(Index r) const { return static_cast<std::size_t>(start_[r + 1]); }

  /// Which of the (n_columns, n_states) cells the v-th vote is in.
  Index cell(std::size_t v) const { return Index{column_[v]} * patterns_->n_states + state_[v]; }

 private:
  const Patterns* patterns_;
  RowKeys keys_;  // read only where there are keys
  const std::int64_t* start_ = nullptr;
  const std::int32_t* column_ = nullptr;
  const std::int32_t* state_ = nullptr;
  std::vector<std::int64_t> own_start_;
  std::vector<std::int32_t> own_column_, own_state_;
};

}  // namespace consilience
