// Counts of each indicator alone, for so many of them that their pairs cannot be counted.
#include <cstddef>
#include <type_traits>
#include <vector>

#include "blocks.hpp"
#include "consilience/moments.hpp"
#include "consilience/parallel.hpp"

namespace consilience {
namespace {

constexpr Index kRowsOfBlock = 1024;

/// Whether another vote of the row contradicts its v-th one.
bool is_contradicted(const std::int32_t* states, std::size_t n_votes, std::size_t v,
                     const Relations& relations, std::int32_t n_states) {
  if (relations.conflict_by_difference) {
    for (std::size_t u = 0; u < n_votes; ++u) {
      if (states[u] != states[v]) return true;
    }
    return false;
  }
  const std::uint8_t* disjoint = relations.disjoint.data() + Index{states[v]} * n_states;
  for (std::size_t u = 0; u < n_votes; ++u) {
    if (disjoint[states[u]] != 0) return true;
  }
  return false;
}

template <class Sum>
Marginals<Sum> count(const StateReader& reader, const Relations& relations, const Sum* weights,
                     const Execution& execution) {
  const auto m = static_cast<std::size_t>(reader.n_columns());
  const std::int32_t n_states = reader.coding().n_states();
  const auto n_cells = m * static_cast<std::size_t>(n_states);
  Execution threads = execution;
  if (std::is_floating_point_v<Sum>) threads.n_threads = 1;
  const Blocks blocks(reader.votes().n_items, kRowsOfBlock);
  std::vector<Marginals<Sum>> parts(static_cast<std::size_t>(n_workers(blocks.n, threads)));
  for (auto& part : parts) {
    part.counts.assign(n_cells, 0);
    part.overlaps.assign(m, 0);
    part.conflicts.assign(m, 0);
  }
  std::vector<StateRows> rows(parts.size());
  for_each_chunk(blocks.n, threads, [&](Index block, int worker) {
    Marginals<Sum>& part = parts[static_cast<std::size_t>(worker)];
    StateRows& listed = rows[static_cast<std::size_t>(worker)];
    const Index begin = blocks.begin(block), n_rows = blocks.size(block);
    reader.read(begin, n_rows, listed);
    for (Index r = 0; r < n_rows; ++r) {
      const auto first = static_cast<std::size_t>(listed.start[static_cast<std::size_t>(r)]);
      const auto last = static_cast<std::size_t>(listed.start[static_cast<std::size_t>(r) + 1]);
      if (first == last) continue;
      const Sum weight = weights == nullptr ? Sum{1} : weights[begin + r];
      part.n_covered += weight;
      for (std::size_t v = first; v < last; ++v) {
        const auto source = static_cast<std::size_t>(listed.source[v]);
        part.counts[source * static_cast<std::size_t>(n_states) +
                    static_cast<std::size_t>(listed.state[v])] += weight;
        if (last - first == 1) continue;
        part.overlaps[source] += weight;
        if (is_contradicted(listed.state.data() + first, last - first, v - first, relations,
                            n_states)) {
          part.conflicts[source] += weight;
        }
      }
    }
  });
  Marginals<Sum> total = std::move(parts[0]);
  for (std::size_t p = 1; p < parts.size(); ++p) {
    for (std::size_t c = 0; c < n_cells; ++c) total.counts[c] += parts[p].counts[c];
    for (std::size_t j = 0; j < m; ++j) {
      total.overlaps[j] += parts[p].overlaps[j];
      total.conflicts[j] += parts[p].conflicts[j];
    }
    total.n_covered += parts[p].n_covered;
  }
  return total;
}

}  // namespace

Marginals<std::int64_t> count_marginals(const StateReader& reader, const Relations& relations,
                                        const std::int64_t* weights, const Execution& execution) {
  return count(reader, relations, weights, execution);
}

Marginals<double> count_marginals(const StateReader& reader, const Relations& relations,
                                  const double* weights, const Execution& execution) {
  return count(reader, relations, weights, execution);
}

}  // namespace consilience
