#include "consilience/patterns.hpp"

#include <stdexcept>
#include <utility>

#include "blocks.hpp"
#include "row_index.hpp"

namespace consilience {

Patterns find_patterns(const StateReader& reader, const double* weights,
                       const Execution& execution) {
  Patterns patterns;
  patterns.n_columns = reader.n_columns();
  patterns.n_states = reader.coding().n_states();
  RowIndex index;
  const Blocks blocks(reader.votes());
  StateRows rows;
  for (Index block = 0; block < blocks.n; ++block) {
    reader.read(blocks.begin(block), blocks.size(block), rows);
    for (Index r = 0; r < blocks.size(block); ++r) {
      const auto begin = static_cast<std::size_t>(rows.start[static_cast<std::size_t>(r)]);
      const auto end = static_cast<std::size_t>(rows.start[static_cast<std::size_t>(r) + 1]);
      const Index pattern =
          index.find_or_add(rows.source.data() + begin, rows.state.data() + begin, end - begin);
      const double weight = weights == nullptr ? 1.0 : weights[blocks.begin(block) + r];
      if (pattern == patterns.size()) patterns.weight.push_back(0.0);
      patterns.weight[static_cast<std::size_t>(pattern)] += weight;
    }
    if (execution.poll) execution.poll();
  }
  patterns.start = index.start();
  patterns.column = std::move(index.columns());
  patterns.state = std::move(index.states());
  return patterns;
}

Patterns select(const Patterns& patterns, const std::vector<std::int64_t>& rows,
                const std::vector<double>& weights, const std::vector<std::uint8_t>& columns) {
  if (rows.size() != weights.size()) throw std::invalid_argument("one weight a row is needed");
  if (static_cast<Index>(columns.size()) != patterns.n_columns) {
    throw std::invalid_argument("columns must be (n_columns,)");
  }
  Patterns chosen;
  chosen.start.assign(1, 0);
  chosen.weight = weights;
  std::vector<std::int32_t> place;  // of each column among those that stay
  for (const std::uint8_t stays : columns) {
    place.push_back(static_cast<std::int32_t>(chosen.n_columns));
    if (stays != 0) ++chosen.n_columns;
  }
  chosen.n_states = patterns.n_states;
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= patterns.size()) throw std::invalid_argument("a row is out of range");
    const auto u = static_cast<std::size_t>(row);
    for (auto v = static_cast<std::size_t>(patterns.start[u]);
         v < static_cast<std::size_t>(patterns.start[u + 1]); ++v) {
      const auto column = static_cast<std::size_t>(patterns.column[v]);
      if (columns[column] == 0) continue;
      chosen.column.push_back(place[column]);
      chosen.state.push_back(patterns.state[v]);
    }
    chosen.start.push_back(static_cast<std::int64_t>(chosen.column.size()));
  }
  return chosen;
}

Patterns with_states(const Patterns& patterns, const std::vector<std::int32_t>& number,
                     std::int32_t n_states) {
  if (static_cast<Index>(number.size()) != patterns.n_columns * patterns.n_states) {
    throw std::invalid_argument("number must be (n_columns, n_states)");
  }
  for (const std::int32_t state : number) {
    if (state < 0 || state >= n_states) throw std::invalid_argument("a state is out of range");
  }
  Patterns chosen;
  chosen.start.assign(1, 0);
  chosen.weight = patterns.weight;
  chosen.n_columns = patterns.n_columns;
  chosen.n_states = n_states;
  for (std::size_t u = 0; u < patterns.weight.size(); ++u) {
    for (auto v = static_cast<std::size_t>(patterns.start[u]);
         v < static_cast<std::size_t>(patterns.start[u + 1]); ++v) {
      const auto column = static_cast<std::size_t>(patterns.column[v]);
      const std::int32_t state = number[column * static_cast<std::size_t>(patterns.n_states) +
                                        static_cast<std::size_t>(patterns.state[v])];
      if (state == 0) continue;
      chosen.column.push_back(patterns.column[v]);
      chosen.state.push_back(state);
    }
    chosen.start.push_back(static_cast<std::int64_t>(chosen.column.size()));
  }
  return chosen;
}

Patterns with_column_per_state(const Patterns& patterns, const std::vector<std::uint8_t>& kept) {
  if (static_cast<Index>(kept.size()) != patterns.n_columns * patterns.n_states) {
    throw std::invalid_argument("kept must be (n_columns, n_states)");
  }
  Patterns chosen;
  chosen.start.assign(1, 0);
  chosen.weight = patterns.weight;
  chosen.n_states = 2;
  std::vector<std::int32_t> place;  // of each cell among those that stay
  for (const std::uint8_t stays : kept) {
    place.push_back(static_cast<std::int32_t>(chosen.n_columns));
    if (stays != 0) ++chosen.n_columns;
  }
  for (std::size_t u = 0; u < patterns.weight.size(); ++u) {
    for (auto v = static_cast<std::size_t>(patterns.start[u]);
         v < static_cast<std::size_t>(patterns.start[u + 1]); ++v) {
      const auto cell = static_cast<std::size_t>(patterns.column[v]) *
                            static_cast<std::size_t>(patterns.n_states) +
                        static_cast<std::size_t>(patterns.state[v]);
      if (kept[cell] == 0) continue;
      chosen.column.push_back(place[cell]);
      chosen.state.push_back(1);
    }
    chosen.start.push_back(static_cast<std::int64_t>(chosen.column.size()));
  }
  return chosen;
}

}  // namespace consilience
