#include "consilience/patterns.hpp"

#include <algorithm>
#include <stdexcept>

#include "blocks.hpp"

namespace consilience {
namespace {

/// Open addressing over the patterns found so far.
class PatternIndex {
 public:
  explicit PatternIndex(Patterns& patterns) : patterns_(patterns), slots_(1024, kEmpty) {}

  /// Pattern with these votes, added if it is new.
  Index find_or_add(const std::int32_t* columns, const std::int32_t* states, std::size_t n) {
    std::uint64_t hash = n;
    for (std::size_t v = 0; v < n; ++v) {
      const auto vote =
          static_cast<std::uint64_t>(columns[v]) << 32 | static_cast<std::uint64_t>(states[v]);
      hash = (hash ^ vote) * 0x9e3779b97f4a7c15ULL;
      hash ^= hash >> 29;
    }
    std::size_t slot = hash & (slots_.size() - 1);
    for (; slots_[slot] != kEmpty; slot = (slot + 1) & (slots_.size() - 1)) {
      if (hashes_[slots_[slot]] == hash && equals(slots_[slot], columns, states, n)) {
        return static_cast<Index>(slots_[slot]);
      }
    }
    slots_[slot] = static_cast<std::uint32_t>(hashes_.size());
    hashes_.push_back(hash);
    patterns_.column.insert(patterns_.column.end(), columns, columns + n);
    patterns_.state.insert(patterns_.state.end(), states, states + n);
    patterns_.start.push_back(static_cast<std::int64_t>(patterns_.column.size()));
    patterns_.weight.push_back(0.0);
    if (2 * hashes_.size() > slots_.size()) grow();
    return patterns_.size() - 1;
  }

 private:
  static constexpr std::uint32_t kEmpty = UINT32_MAX;

  bool equals(std::uint32_t pattern, const std::int32_t* columns, const std::int32_t* states,
              std::size_t n) const {
    const auto begin = patterns_.start[pattern], end = patterns_.start[pattern + 1];
    return static_cast<std::size_t>(end - begin) == n &&
           std::equal(columns, columns + n, patterns_.column.begin() + begin) &&
           std::equal(states, states + n, patterns_.state.begin() + begin);
  }

  void grow() {
    slots_.assign(2 * slots_.size(), kEmpty);
    for (std::size_t pattern = 0; pattern < hashes_.size(); ++pattern) {
      std::size_t slot = hashes_[pattern] & (slots_.size() - 1);
      while (slots_[slot] != kEmpty) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = static_cast<std::uint32_t>(pattern);
    }
  }

  Patterns& patterns_;
  std::vector<std::uint32_t> slots_;
  std::vector<std::uint64_t> hashes_;
};

}  // namespace

Patterns find_patterns(const StateReader& reader, const double* weights,
                       const Execution& execution) {
  Patterns patterns;
  patterns.start.assign(1, 0);
  patterns.n_columns = reader.n_columns();
  patterns.n_states = reader.coding().n_states();
  PatternIndex index(patterns);
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
      patterns.weight[static_cast<std::size_t>(pattern)] += weight;
    }
    if (execution.poll) execution.poll();
  }
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

}  // namespace consilience
