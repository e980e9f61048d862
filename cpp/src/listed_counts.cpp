#include "listed_counts.hpp"

#include <array>
#include <new>
#include <utility>

namespace consilience {
namespace {

/// A row's votes, and where they are counted.
struct RowOfVotes {
  const std::int32_t* source;
  const std::int32_t* state;
  const std::int32_t* node;
};

template <std::size_t kFirst, std::size_t kVotes, std::size_t... kOffset>
void count_pairs_from(std::uint32_t* cells, std::size_t d,
                      const std::array<std::size_t, kVotes>& nodes,
                      std::index_sequence<kOffset...>) {
  std::uint32_t* of_node = cells + nodes[kFirst] * d;
  (++of_node[nodes[kFirst + kOffset]], ...);
  if constexpr (kFirst + 1 < kVotes) {
    count_pairs_from<kFirst + 1>(cells, d, nodes, std::make_index_sequence<kVotes - kFirst - 1>());
  }
}

/// An increment for every pair of `kVotes` votes, those with themselves too, and for every vote if
/// they are not all the same; no branches.
template <std::size_t kVotes>
void count_votes(const RowOfVotes& row, std::uint32_t* cells, std::size_t d,
                 std::int64_t* conflicting) {
  std::array<std::size_t, kVotes> nodes;
  std::int32_t differ = 0;
  for (std::size_t v = 0; v < kVotes; ++v) {
    nodes[v] = static_cast<std::size_t>(row.node[v]);
    differ |= row.state[v] ^ row.state[0];
  }
  count_pairs_from<0>(cells, d, nodes, std::make_index_sequence<kVotes>());
  if constexpr (kVotes > 1) {
    const std::int64_t conflict = differ != 0 ? 1 : 0;
    for (std::size_t v = 0; v < kVotes; ++v) conflicting[row.source[v]] += conflict;
  }
}

/// The same for any number of votes.
void count_votes(const RowOfVotes& row, std::size_t n, std::uint32_t* cells, std::size_t d,
                 std::int64_t* conflicting) {
  bool differ = false;
  for (std::size_t v = 0; v < n; ++v) {
    std::uint32_t* of_node = cells + static_cast<std::size_t>(row.node[v]) * d;
    for (std::size_t u = v; u < n; ++u) ++of_node[row.node[u]];
    differ |= row.state[v] != row.state[0];
  }
  for (std::size_t v = 0; differ && v < n; ++v) ++conflicting[row.source[v]];
}

}  // namespace

ListedCounts::ListedCounts(const Nodes& nodes, const Relations& relations,
                           const Partition& partition, const StateReader& reader,
                           std::int64_t max_rows)
    : nodes_(&nodes),
      relations_(&relations),
      n_states_(reader.coding().n_states()),
      max_rows_(max_rows),
      alone_(static_cast<std::size_t>(reader.n_columns()), 0),
      conflicting_(alone_),
      disjoint_(alone_),
      row_triples_(partition, reader.n_columns(), n_states_),
      triples_(partition.counts() ? static_cast<std::size_t>(nodes.size()) : 0, 0) {
  const auto d = static_cast<std::size_t>(nodes.size());
  // Large zeroed blocks come from the system page by page, as they are touched.
  cells_.reset(static_cast<std::uint32_t*>(std::calloc(d * d + 1, sizeof(std::uint32_t))));
  if (cells_ == nullptr) throw std::bad_alloc();
}

void ListedCounts::count(const StateRows& rows) {
  node_.resize(rows.n_votes());
  for (std::size_t v = 0; v < node_.size(); ++v) {
    node_[v] = static_cast<std::int32_t>((*nodes_)(rows.source[v], rows.state[v]));
  }
  std::int64_t* conflicting = conflicting_.data();
  const auto d = static_cast<std::size_t>(nodes_->size());
  for (std::size_t r = 0; r + 1 < rows.start.size(); ++r) {
    const std::int64_t start = rows.start[r];
    const auto n = static_cast<std::size_t>(rows.start[r + 1] - start);
    if (n_rows_ == max_rows_) empty();
    ++n_rows_;
    const RowOfVotes row{rows.source.data() + start, rows.state.data() + start,
                         node_.data() + start};
    switch (n) {
      case 0:
        ++n_silent_;
        break;
      case 1:
        ++alone_[static_cast<std::size_t>(row.source[0])];
        count_votes<1>(row, cells_.get(), d, conflicting);
        break;
      case 2:
        count_votes<2>(row, cells_.get(), d, conflicting);
        break;
      case 3:
        count_votes<3>(row, cells_.get(), d, conflicting);
        break;
      case 4:
        count_votes<4>(row, cells_.get(), d, conflicting);
        break;
      case 5:
        count_votes<5>(row, cells_.get(), d, conflicting);
        break;
      case 6:
        count_votes<6>(row, cells_.get(), d, conflicting);
        break;
      case 7:
        count_votes<7>(row, cells_.get(), d, conflicting);
        break;
      case 8:
        count_votes<8>(row, cells_.get(), d, conflicting);
        break;
      default:
        count_votes(row, n, cells_.get(), d, conflicting);
    }
    if (!triples_.empty()) {
      row_triples_.add(row.source, row.state, row.node, n, std::int64_t{1}, 0, nodes_->size(),
                       triples_.data());
    }
  }
  if (!relations_->conflict_by_difference) count_disjoint(rows);
  n_counted_ += static_cast<std::int64_t>(rows.start.size()) - 1;
}

/// Counts the votes that another vote of their row contradicts, where that is not just another one.
void ListedCounts::count_disjoint(const StateRows& rows) {
  for (std::size_t r = 0; r + 1 < rows.start.size(); ++r) {
    const auto begin = static_cast<std::size_t>(rows.start[r]);
    const auto end = static_cast<std::size_t>(rows.start[r + 1]);
    for (std::size_t v = begin; v < end; ++v) {
      const std::uint8_t* disjoint = relations_->disjoint.data() + Index{rows.state[v]} * n_states_;
      bool contradicted = false;
      for (std::size_t u = begin; u < end; ++u) contradicted |= disjoint[rows.state[u]] != 0;
      if (contradicted) ++disjoint_[static_cast<std::size_t>(rows.source[v])];
    }
  }
}

void ListedCounts::empty() {
  const auto d = static_cast<std::size_t>(nodes_->size());
  if (emptied_.empty()) emptied_.assign(d * d, 0);
  for (std::size_t a = 0; a < d; ++a) {
    for (std::size_t at = a * d + a; at < (a + 1) * d; ++at) {
      emptied_[at] += static_cast<std::int64_t>(cells_[at]);
      cells_[at] = 0;
    }
  }
  n_rows_ = 0;
}

Moments<std::int64_t> ListedCounts::sum(std::vector<ListedCounts>& parts,
                                        const Execution& execution) {
  const Nodes& nodes = *parts[0].nodes_;
  const auto total = [&](Index a, Index b) {
    std::int64_t count = 0;
    for (const ListedCounts& part : parts) count += part.cell(a, b);
    return count;
  };
  const std::size_t m = parts[0].alone_.size();
  const bool by_difference = parts[0].relations_->conflict_by_difference;
  Moments<std::int64_t> moments;
  moments.votes.assign(m, 0);
  moments.conflicts.assign(m, 0);
  std::vector<Index> live;
  for (Index a = 0; a < nodes.size(); ++a) {
    const std::int64_t count = total(a, a);
    if (count == 0) continue;
    const auto i = static_cast<std::size_t>(a);
    live.push_back(a);
    moments.node_source.push_back(nodes.source[i]);
    moments.node_state.push_back(nodes.state[i]);
    moments.votes[static_cast<std::size_t>(nodes.source[i])] += count;
  }
  const std::size_t d = live.size();
  moments.pairs.resize(d * d);
  for (std::size_t i = 0; i < d; ++i) {
    for (std::size_t j = i; j < d; ++j) {
      moments.pairs[i * d + j] = moments.pairs[j * d + i] = total(live[i], live[j]);
    }
    if (i % 256 == 255 && execution.poll) execution.poll();
  }
  moments.overlaps = moments.votes;
  if (!parts[0].triples_.empty()) moments.triples.assign(d, 0);
  for (const ListedCounts& part : parts) {
    for (std::size_t i = 0; i < moments.triples.size(); ++i) {
      moments.triples[i] += part.triples_[static_cast<std::size_t>(live[i])];
    }
    moments.n_covered += part.n_counted_ - part.n_silent_;
    for (std::size_t j = 0; j < m; ++j) {
      moments.overlaps[j] -= part.alone_[j];
      moments.conflicts[j] += by_difference ? part.conflicting_[j] : part.disjoint_[j];
    }
  }
  return moments;
}

}  // namespace consilience
