#include "consilience/patterns.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <stdexcept>
#include <vector>

#include "distinct_keys.hpp"
#include "row_keys.hpp"
#include "simd/loops.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

using Row = std::vector<std::int32_t>;

/// States of every row, and the items it stands for: the slow, obvious twin.
std::map<Row, double> plain_patterns(const std::vector<std::int32_t>& states, Index m,
                                     const std::vector<double>& weights) {
  std::map<Row, double> result;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto begin = states.begin() + static_cast<std::ptrdiff_t>(i) * m;
    result[Row(begin, begin + m)] += weights[i];
  }
  return result;
}

std::vector<Row> rows_of(const Patterns& found) {
  const Patterns patterns = listed(found);
  std::vector<Row> rows;
  bool sorted = true;
  for (std::size_t u = 0; u < patterns.weight.size(); ++u) {
    Row row(static_cast<std::size_t>(patterns.n_columns), 0);
    std::int32_t last = -1;
    for (auto v = patterns.start[u]; v < patterns.start[u + 1]; ++v) {
      const auto vote = static_cast<std::size_t>(v);
      sorted &= patterns.column[vote] > last;
      last = patterns.column[vote];
      row[static_cast<std::size_t>(last)] = patterns.state[vote];
    }
    rows.push_back(row);
  }
  CHECK(sorted);
  return rows;
}

std::map<Row, double> as_map(const Patterns& patterns) {
  std::map<Row, double> result;
  const std::vector<Row> rows = rows_of(patterns);
  for (std::size_t u = 0; u < rows.size(); ++u) result.emplace(rows[u], patterns.weight[u]);
  CHECK(result.size() == rows.size());  // no row twice
  return result;
}

bool same(const Patterns& a, const Patterns& b) {
  return a.start == b.start && a.column == b.column && a.state == b.state && a.weight == b.weight &&
         a.keys == b.keys;
}

TEST_CASE("patterns are the distinct rows with the sums of their weights, however they are found") {
  struct Shape {
    Index n, m;
    std::int32_t k;
  };
  // Counted one by one (as many items as possible rows), sorted, and beyond 64 bits.
  for (const Shape& shape : {Shape{1, 1, 1},
                             {5000, 2, 2},
                             {5000, 7, 2},
                             {5000, 3, 16},
                             {300, 8, 2},
                             {5000, 12, 3},
                             {5000, 32, 2},
                             {5000, 33, 2},
                             {2000, 8, 255},
                             {2000, 2, 300},
                             {700, 64, 1},
                             {700, 65, 1},
                             {0, 3, 2}}) {
    CAPTURE(shape.m);
    CAPTURE(shape.k);
    const Labels labels =
        random_labels(static_cast<std::uint64_t>(shape.m), shape.n, shape.m, {shape.k}, 0.5);
    const std::vector<std::int32_t> states = states_of_one_task(labels);
    Random random(1);
    std::vector<double> fractional;
    for (Index i = 0; i < shape.n; ++i) fractional.push_back(i % 7 == 0 ? 0 : random.uniform(0, 2));
    const std::vector<double> ones(fractional.size(), 1.0);
    const StateCoding coding = StateCoding::of_one_task(shape.k);
    const HeldVotes dense = dense_votes(labels, IntType::i16),
                    sparse = sparse_votes(labels, IntType::i32, IntType::i16);
    for (const std::vector<double>& weights : {ones, fractional}) {
      const auto expected = plain_patterns(states, shape.m, weights);
      const double* given = weights == ones ? nullptr : weights.data();
      Patterns first;
      for (const VoteView& votes : {dense.view, sparse.view}) {
        for (const std::string& level : simd_levels()) {
          const WithSimdLevel with(level);
          for (const int n_threads : {1, 3}) {
            const StateReader reader(votes, coding);
            const Patterns found = find_patterns(reader, given, {n_threads, {}});
            CHECK(as_map(found) == expected);
            if (first.start.empty()) first = found;
            CHECK(same(found, first));
          }
        }
      }
    }
  }
}

TEST_CASE("patterns are all found up to a number of them, and none beyond") {
  // Counted by their codes, sorted as keys, hashed as rows of 90 sources.
  for (const Index m : {Index{4}, Index{25}, Index{90}}) {
    CAPTURE(m);
    const HeldVotes held = dense_votes(random_labels(40, 3000, m, {3}, 0.3));
    const StateCoding coding = StateCoding::of_one_task(3);
    const StateReader reader(held.view, coding);
    const Patterns all = find_patterns(reader, nullptr, {});
    const auto enough = find_few_patterns(reader, nullptr, all.size(), {2, {}});
    REQUIRE(enough.has_value());
    CHECK(same(*enough, all));
    CHECK_FALSE(find_few_patterns(reader, nullptr, all.size() - 1, {}).has_value());
    CHECK_FALSE(find_few_patterns(reader, nullptr, 0, {}).has_value());
  }
}

TEST_CASE("the order of rows of 64 bits depends on the set of them alone") {
  const Index n = 4000, m = 6;
  const Labels labels = random_labels(3, n, m, {2}, 0.5);
  const StateCoding coding = StateCoding::of_one_task(2);
  Labels reversed = labels, few = labels;
  std::reverse(reversed.tables[0].begin(), reversed.tables[0].end());
  for (auto row = reversed.tables[0].begin(); row != reversed.tables[0].end(); row += m) {
    std::reverse(row, row + m);
  }
  const HeldVotes all = dense_votes(labels), backwards = dense_votes(reversed);
  const Patterns counted = find_patterns(StateReader(all.view, coding), nullptr, {});
  CHECK(same(counted, find_patterns(StateReader(backwards.view, coding), nullptr, {})));
  // Each row once: fewer items than possible rows, so they are sorted.
  few.tables[0].clear();
  for (const Row& row : rows_of(counted)) {
    if (few.tables[0].size() == 500 * static_cast<std::size_t>(m)) break;
    for (const std::int32_t state : row) few.tables[0].push_back(state - 1);
  }
  few.n_items = static_cast<Index>(few.tables[0].size()) / m;
  const HeldVotes once = dense_votes(few);
  const std::vector<Row> sorted =
      rows_of(find_patterns(StateReader(once.view, coding), nullptr, {}));
  const std::vector<Row> expected = rows_of(counted);
  CHECK(std::equal(sorted.begin(), sorted.end(), expected.begin()));
}

TEST_CASE("sources read together and several tasks have patterns of their columns") {
  const Labels labels = random_labels(5, 3000, 5, {2, 3}, 0.3);
  const CodedStates coded = code_several_tasks(labels, 5);
  const Labels plain = random_labels(6, 3000, 6, {2}, 0.5);
  const CodedStates together =
      read_together(StateCoding::of_one_task(2), states_of_one_task(plain), 6);
  const std::vector<double> ones(3000, 1.0);
  const auto check = [&](const HeldVotes& held, const CodedStates& expected) {
    const StateReader reader(held.view, expected.coding);
    CHECK(as_map(find_patterns(reader, nullptr, {2, {}})) ==
          plain_patterns(expected.states, reader.n_columns(), ones));
  };
  check(dense_votes(labels), coded);
  check(sparse_votes(labels), coded);
  check(dense_votes(plain), together);
  check(sparse_votes(plain), together);
}

TEST_CASE("numbers of every width are counted exactly, slab by slab") {
  for (const int n_bits : {8, 16, 24, 40, 64}) {
    CAPTURE(n_bits);
    const std::uint64_t mask = n_bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n_bits) - 1;
    Random random(static_cast<std::uint64_t>(n_bits));
    DistinctKeys distinct(n_bits), weighted(n_bits);
    std::map<std::uint64_t, double> expected, expected_sums;
    // Half of the numbers are one and the same: a bucket that is sorted digit by digit.
    for (const std::size_t size : {5000, 1, 3000}) {
      std::vector<std::uint64_t> keys;
      std::vector<double> weights;
      for (std::size_t i = 0; i < size; ++i) {
        keys.push_back((i % 2 == 0 ? 77 : random.below(200) * 0x123456789abcdefULL) & mask);
        weights.push_back(random.uniform(0, 1));
        expected[keys[i]] += 1;
        expected_sums[keys[i]] += weights[i];
      }
      const auto read = [&](Index begin, Index n, std::uint64_t* to) {
        std::copy_n(keys.begin() + begin, n, to);
      };
      distinct.add(static_cast<Index>(size), 64, nullptr, {3, {}}, read);
      weighted.add(static_cast<Index>(size), 64, weights.data(), {3, {}}, read);
    }
    const auto found = [](DistinctKeys& all) {
      std::map<std::uint64_t, double> result;
      for (std::size_t b = 0; b < DistinctKeys::kBuckets; ++b) {
        std::vector<std::uint64_t> keys(all.size(b));
        std::vector<double> weights(all.size(b));
        all.take(b, keys.data(), weights.data());
        for (std::size_t i = 0; i < keys.size(); ++i) result.emplace(keys[i], weights[i]);
        CHECK(all.size(b) == 0);
      }
      return result;
    };
    CHECK(found(distinct) == expected);
    CHECK(found(weighted) == expected_sums);
  }
}

TEST_CASE(
    "thinned patterns are the same whether rows are keys or lists, on any number of threads") {
  const Labels labels = random_labels(11, 20'000, 12, {3}, 0.6);
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(3);
  const StateReader reader(held.view, coding);
  const Patterns keyed = find_patterns(reader, nullptr, Execution{});
  REQUIRE(keyed.is_keyed());
  const Patterns lists = listed(keyed);
  REQUIRE_FALSE(lists.is_keyed());
  for (const double one_in : {1.0, 7.5, 1e9}) {
    const Patterns thin = thinned(keyed, one_in, Execution{});
    CHECK(same(thin, thinned(keyed, one_in, {3, {}})));
    CHECK(same(thin, thinned(lists, one_in, Execution{})));
    double items = 0;
    for (const double weight : thin.weight) items += weight;
    const double expected = 20'000 / one_in;
    CHECK(std::abs(items - expected) <= 5 * std::sqrt(expected) * (one_in > 1));
  }
  CHECK_THROWS_AS(thinned(keyed, 0.0, Execution{}), std::invalid_argument);
}

TEST_CASE("keys hold the states of a tile, and give them back") {
  for (const std::int32_t n_states : {1, 2, 3, 4, 5, 9, 16, 17, 256}) {
    for (const Index m : {1, 2, 3, 7, 8, 9, 16, 31, 32, 64}) {
      if (!RowKeys::fit(m, n_states)) continue;
      CAPTURE(n_states);
      CAPTURE(m);
      for (const Index n : {1, 63, 64, 65, 200}) {
        Random random(static_cast<std::uint64_t>(m));
        StateTile tile;
        tile.n_rows = n;
        tile.stride = StateTile::stride_for(n);
        tile.states.assign(static_cast<std::size_t>(m * tile.stride), 0);
        for (Index j = 0; j < m; ++j) {
          for (Index r = 0; r < n; ++r) {
            tile.states[static_cast<std::size_t>(j * tile.stride + r)] =
                static_cast<std::uint8_t>(random.below(n_states));
          }
        }
        const RowKeys rows(m, n_states);
        std::vector<std::uint64_t> expected(static_cast<std::size_t>(n), 0);
        for (Index r = 0; r < n; ++r) {
          for (Index j = 0; j < m; ++j) {
            expected[static_cast<std::size_t>(r)] |= rows.of_vote(j, tile.source(j)[r]);
          }
        }
        for (const std::string& level : simd_levels()) {
          CAPTURE(level);
          const WithSimdLevel with(level);
          std::vector<std::uint64_t> keys(static_cast<std::size_t>(n));
          rows.of_tile(tile, keys.data());
          CHECK(keys == expected);
          StateTile back;
          rows.to_tile(keys.data(), n, back);
          CHECK(back.states == tile.states);
        }
        std::vector<std::int32_t> column(static_cast<std::size_t>(m)), state(column.size());
        const Index n_votes = rows.list_votes(expected[0], column.data(), state.data());
        CHECK(n_votes == rows.count_votes(expected[0]));
        bool listed = true;
        for (Index v = 0; v < n_votes; ++v) {
          const auto at = static_cast<std::size_t>(v);
          listed &= tile.source(column[at])[0] == state[at] && state[at] > 0;
        }
        CHECK(listed);
      }
    }
  }
  CHECK_FALSE(RowKeys::fit(33, 3));
  CHECK_FALSE(RowKeys::fit(2, 257));
}

}  // namespace
}  // namespace consilience::test
