// From votes to states: one code path for one task and for several.
//
// A source's state on an item is 0 when it abstains (or says nothing that narrows the feasible
// set), else 1 + the index of the event it votes for: the set of feasible label vectors that agree
// with its vote. With one task the events are the classes, and state = label + 1. Sources that
// depend on each other may be read as one: their component's state stands for all their states
// together. A source may be part of several components, as of the cliques of a junction tree.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "consilience/aligned.hpp"
#include "consilience/types.hpp"

namespace consilience {

/// Checks shape and order of a CSR table's structure once, before any view of it is read.
/// @throws std::invalid_argument naming the row and the rule that is broken.
void check_sparse_structure(const SparseTable& table, Index n_items, Index n_sources,
                            Index n_stored);

/// Checks every label, and returns the largest one of each task; -1 where there are no votes.
/// @throws LabelOutOfRange for the first bad label.
std::vector<std::int64_t> largest_labels(const VoteView& votes, const Execution& execution);

/// A vote vector as one number, mixed radix: sum over tasks of (label + 1) * stride of the task.
using VoteKey = std::uint64_t;

/// Strides of the tasks in a `VoteKey`.
/// @throws std::invalid_argument if the product of (cardinality + 1) exceeds 2^62.
std::vector<VoteKey> key_strides(const std::vector<std::int32_t>& cardinalities);

/// Which vote vectors occur, and how often each source casts them.
struct VoteVectors {
  std::vector<VoteKey> keys;         // (n_keys,) increasing; never 0, the vector of no votes
  std::vector<std::int64_t> counts;  // (n_keys, n_sources) row by row
};

VoteVectors vote_vectors(const VoteView& votes, const Execution& execution);

/// Sources that are read together, a component each; a component of one source is that source.
/// Source j is in the components of its parts, [start[j], start[j + 1]): none, one or several.
struct Components {
  Index n_components;
  std::int32_t n_states;                   // states of a component lie in [0, n_states)
  std::vector<std::int32_t> start;         // (m + 1,)
  std::vector<std::int32_t> component_of;  // (n_parts,)
  /// (n_parts, n_states of a source): what the source's state adds to the component's; state 0
  /// adds 0.
  std::vector<std::int32_t> contribution;
};

/// The state of every vote vector that may occur.
class StateCoding {
 public:
  /// One task: state = label + 1.
  static StateCoding of_one_task(std::int32_t cardinality);

  /// Several tasks: `states[q]`, below `n_states`, is the state of `keys[q]`, below `n_keys`; a key
  /// that is not listed abstains.
  StateCoding(std::vector<VoteKey> keys, std::vector<std::int32_t> states, VoteKey n_keys,
              std::int32_t n_states);

  /// The same with sources read together.
  /// @throws std::invalid_argument if a component's states could leave [0, n_states).
  StateCoding with_components(Components components) const;

  bool is_identity() const { return is_identity_; }
  const Components* components() const { return components_ ? &*components_ : nullptr; }
  /// States of a column (a source, or a component) are 0 .. n_states() - 1.
  std::int32_t n_states() const { return components_ ? components_->n_states : n_source_states_; }
  /// States of a source.
  std::int32_t n_source_states() const { return n_source_states_; }
  /// State of a source that casts this vote vector.
  std::int32_t operator()(VoteKey key) const;

 private:
  StateCoding() = default;

  bool is_identity_ = false;
  std::int32_t n_source_states_ = 1;
  std::optional<Components> components_;
  std::vector<std::int32_t> direct_;                     // by key, when keys are few
  std::unordered_map<VoteKey, std::int32_t> scattered_;  // otherwise
};

/// States of a block of rows, column by column (a source each, or a component): state of
/// (row, column) at `states[column * stride + row]`; rows up to the stride are zero.
struct StateTile {
  /// Room for the rows of a column: an odd multiple of 64, as columns that lie a power of two apart
  /// would drive each other out of the cache.
  static Index stride_for(Index n_rows) { return ((n_rows + 63) / 64 | 1) * 64; }

  Index n_rows = 0;
  Index stride = 0;  // `stride_for(n_rows)`
  AlignedVector<std::uint8_t> states;
  AlignedVector<std::uint8_t> of_task;  // what a reader of several tasks works with
  const std::uint8_t* source(Index j) const { return states.data() + j * stride; }
};

/// The votes of a block of rows, row by row: those of row r at [start[r], start[r + 1]), by
/// increasing column (`source`, or component). Abstentions are absent. What lies beyond the last
/// row's votes means nothing.
struct StateRows {
  std::size_t n_votes() const { return static_cast<std::size_t>(start.back()); }
  std::vector<std::int64_t> start;
  std::vector<std::int32_t> source;
  std::vector<std::int32_t> state;
};

/// Reads blocks of rows as states. Every label is checked on the way; const, so many threads may
/// read at once, each into its own block.
class StateReader {
 public:
  StateReader(const VoteView& votes, const StateCoding& coding);

  /// A tile holds a state in a byte.
  bool fits_tiles() const { return coding_.n_states() <= 256; }
  /// Whether the votes are stored without their abstentions.
  bool is_sparse() const;

  /// @throws LabelOutOfRange for the first bad label of the block.
  void read(Index begin, Index n_rows, StateTile& tile) const;
  void read(Index begin, Index n_rows, StateRows& rows) const;

  const VoteView& votes() const { return votes_; }
  const StateCoding& coding() const { return coding_; }
  /// Sources, or components where sources are read together.
  Index n_columns() const;

 private:
  void read_sources(Index begin, Index n_rows, StateTile& tile) const;
  void read_sources(Index begin, Index n_rows, StateRows& rows) const;
  template <class Add>
  void for_each_part(std::int32_t source, std::int32_t state, const Add& add) const;
  bool list_dense(const DenseTable& table, Index begin, Index n_rows, StateRows& rows) const;

  const VoteView& votes_;
  const StateCoding& coding_;
  std::vector<VoteKey> strides_;
  bool byte_keys_ = false;  // keys of all tasks fit into a byte
  std::size_t n_byte_keys_ = 0;
  std::array<std::uint8_t, 256> state_of_byte_key_{};
};

/// State of every column on every item, (n_items, n_columns) row by row: for few items.
/// @throws LabelOutOfRange for the first bad label.
std::vector<std::int32_t> read_states(const StateReader& reader, const Execution& execution);

}  // namespace consilience
