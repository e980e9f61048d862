// Moments from lists of votes: an increment for every pair of votes of a row.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <vector>

#include "consilience/moments.hpp"
#include "consilience/states.hpp"
#include "nodes.hpp"
#include "triples.hpp"

namespace consilience {

/// The counts of one worker.
///
/// Cells have 32 bits, so that those of a few hundred indicators stay in the second cache, and are
/// emptied into 64 bits before one can overflow. Only the upper triangle is used, and memory that
/// no pair of votes touches is neither cleared nor, from some size on, there.
class ListedCounts {
 public:
  /// A row adds at most 1 to a cell.
  static constexpr std::int64_t kMaxRows = std::numeric_limits<std::uint32_t>::max();

  /// `max_rows`: after so many rows the cells are emptied.
  ListedCounts(const Nodes& nodes, const Relations& relations, const Partition& partition,
               const StateReader& reader, std::int64_t max_rows = kMaxRows);

  void count(const StateRows& rows);

  /// Counts of all workers together, without the indicators that never occur.
  static Moments<std::int64_t> sum(std::vector<ListedCounts>& parts, const Execution& execution);

 private:
  struct Free {
    void operator()(std::uint32_t* cells) const { std::free(cells); }
  };

  void count_disjoint(const StateRows& rows);
  void empty();
  std::int64_t cell(Index a, Index b) const {
    const auto at = static_cast<std::size_t>(a * nodes_->size() + b);
    return static_cast<std::int64_t>(cells_[at]) + (emptied_.empty() ? 0 : emptied_[at]);
  }

  const Nodes* nodes_;
  const Relations* relations_;
  std::int32_t n_states_;
  std::int64_t max_rows_;
  std::int64_t n_rows_ = 0;                       // since the cells were emptied
  std::unique_ptr<std::uint32_t[], Free> cells_;  // (d, d)
  std::vector<std::int64_t> emptied_;             // (d, d), or none yet
  std::vector<std::int64_t> alone_;               // (m,) votes without another on their row
  std::vector<std::int64_t> conflicting_;  // (m,) votes on rows whose votes are not all the same
  std::vector<std::int64_t> disjoint_;     // (m,) votes that another contradicts, by `disjoint`
  std::int64_t n_counted_ = 0;             // rows
  std::int64_t n_silent_ = 0;              // of those, without votes
  RowTriples row_triples_;
  std::vector<std::int64_t> triples_;  // (d,), or none
  std::vector<std::int32_t> node_;     // of each vote of a block
};

}  // namespace consilience
