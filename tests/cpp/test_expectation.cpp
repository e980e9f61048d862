#include "consilience/expectation.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <stdexcept>
#include <vector>

#include "consilience/patterns.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

using Row = std::vector<std::int64_t>;

std::vector<Row> rows_of(const Labels& labels) {
  std::vector<Row> rows;
  for (Index i = 0; i < labels.n_items; ++i) {
    Row row;
    for (Index j = 0; j < labels.n_sources; ++j) row.push_back(labels.at(0, i, j));
    rows.push_back(row);
  }
  return rows;
}

std::vector<double> random_weights(std::uint64_t seed, Index n) {
  Random random(seed);
  std::vector<double> weights;
  for (Index i = 0; i < n; ++i) weights.push_back(random.uniform(0, 3));
  return weights;
}

Row row_of_pattern(const Patterns& patterns, std::size_t u) {
  Row row(static_cast<std::size_t>(patterns.n_columns), -1);
  for (auto v = static_cast<std::size_t>(patterns.start[u]);
       v < static_cast<std::size_t>(patterns.start[u + 1]); ++v) {
    row[static_cast<std::size_t>(patterns.column[v])] = patterns.state[v] - 1;
  }
  return row;
}

ScoreTable random_scores(std::uint64_t seed, Index m, std::int32_t n_states, Index k) {
  Random random(seed);
  ScoreTable table{k, {}, {}, Link::softmax};
  for (Index y = 0; y < k; ++y) table.base.push_back(random.uniform(-2, 2));
  for (Index i = 0; i < m * n_states * k; ++i) table.of_state.push_back(random.uniform(-2, 2));
  return table;
}

/// The slow, obvious twin: item by item, from the definition.
Expectation plain_expectation(const Labels& labels, const std::vector<double>& weights,
                              const ScoreTable& table, Counting counting) {
  const Index k = table.n_vectors;
  const std::int32_t n_states = labels.cardinalities[0] + 1;
  Expectation sums{std::vector<double>(table.of_state.size(), 0.0),
                   std::vector<double>(static_cast<std::size_t>(k), 0.0), 0.0};
  const auto entry = [&](Index j, std::int64_t label, Index y) {
    return static_cast<std::size_t>((j * n_states + label + 1) * k + y);
  };
  const auto softmax = [&](std::vector<double> scores, double* total) {
    *total = 0;
    for (double& score : scores) *total += score = std::exp(score);
    for (double& score : scores) score /= *total;
    return scores;
  };
  for (Index i = 0; i < labels.n_items; ++i) {
    const double weight = weights[static_cast<std::size_t>(i)];
    std::vector<double> scores = table.base;
    for (Index j = 0; j < labels.n_sources; ++j) {
      if (labels.at(0, i, j) < 0) continue;
      for (Index y = 0; y < k; ++y) {
        scores[static_cast<std::size_t>(y)] += table.of_state[entry(j, labels.at(0, i, j), y)];
      }
    }
    double total = 0;
    const std::vector<double> r = softmax(scores, &total);
    sums.log_likelihood += weight * std::log(total);
    for (Index y = 0; y < k; ++y) {
      sums.of_vector[static_cast<std::size_t>(y)] += weight * r[static_cast<std::size_t>(y)];
    }
    for (Index j = 0; j < labels.n_sources; ++j) {
      const std::int64_t label = labels.at(0, i, j);
      if (label < 0) continue;
      std::vector<double> opinion = r;
      double share = weight;
      if (counting == Counting::leave_one_out) {
        std::vector<double> others = scores;
        for (Index y = 0; y < k; ++y) {
          others[static_cast<std::size_t>(y)] -= table.of_state[entry(j, label, y)];
        }
        opinion = softmax(others, &total);
        double entropy = 0;
        for (const double p : opinion) entropy -= p * std::log(p);
        share *= k > 1 ? 1 - entropy / std::log(static_cast<double>(k)) : 1.0;
      }
      for (Index y = 0; y < k; ++y) {
        sums.of_state[entry(j, label, y)] += share * opinion[static_cast<std::size_t>(y)];
      }
    }
  }
  return sums;
}

}  // namespace

TEST_CASE("patterns are the distinct rows in the order in which they first occur") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Index n = 1 + random.below(6000), m = 1 + random.below(6);
    const Labels labels = random_labels(seed, n, m, {2}, 0.4);
    const std::vector<double> weights = random_weights(seed, n);
    std::map<Row, std::size_t> place;
    std::vector<double> expected;
    std::size_t item = 0;
    for (const Row& row : rows_of(labels)) {
      const auto [found, is_new] = place.try_emplace(row, expected.size());
      if (is_new) expected.push_back(0.0);
      expected[found->second] += weights[item++];
    }
    const StateCoding coding = StateCoding::of_one_task(2);
    for (const bool sparse : {false, true}) {
      const HeldVotes held = sparse ? sparse_votes(labels) : dense_votes(labels);
      const Patterns patterns =
          find_patterns(StateReader(held.view, coding), weights.data(), Execution{});
      REQUIRE(patterns.weight == expected);
      for (std::size_t u = 0; u < expected.size(); ++u) {
        REQUIRE(place.at(row_of_pattern(patterns, u)) == u);
      }
    }
  }
}

TEST_CASE("without weights a pattern weighs the number of its items") {
  const Labels labels = random_labels(1, 5000, 2, {2}, 0.5);
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(2);
  const Patterns patterns = find_patterns(StateReader(held.view, coding), nullptr, Execution{});
  double total = 0;
  for (const double weight : patterns.weight) total += weight;
  CHECK(patterns.size() == 9);
  CHECK(total == 5000);
}

TEST_CASE("expected counts are those of the definition, whichever way votes are counted") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Index n = 1 + random.below(3000), m = 1 + random.below(6), k = 1 + random.below(5);
    const Labels labels = random_labels(seed, n, m, {3}, 0.6);
    const std::vector<double> weights = random_weights(seed, n);
    const HeldVotes held = dense_votes(labels);
    const StateCoding coding = StateCoding::of_one_task(3);
    const Patterns patterns =
        find_patterns(StateReader(held.view, coding), weights.data(), Execution{});
    const ScoreTable table = random_scores(seed + 100, m, 4, k);
    for (const Counting counting : {Counting::full, Counting::leave_one_out}) {
      const Expectation expected = plain_expectation(labels, weights, table, counting);
      const Expectation found = expect(patterns, table, counting, Execution{});
      CHECK(found.log_likelihood == doctest::Approx(expected.log_likelihood).epsilon(1e-12));
      for (std::size_t y = 0; y < expected.of_vector.size(); ++y) {
        REQUIRE(found.of_vector[y] == doctest::Approx(expected.of_vector[y]).epsilon(1e-10));
      }
      for (std::size_t i = 0; i < expected.of_state.size(); ++i) {
        // Sums of up to 3000 terms of either sign in the entropy: 1e-9 of an item.
        REQUIRE(std::abs(found.of_state[i] - expected.of_state[i]) <
                1e-9 * (1 + expected.of_state[i]));
      }
    }
  }
}

TEST_CASE("expected counts have the same bits for any number of threads") {
  const Labels labels = random_labels(3, 20000, 8, {3}, 0.7);
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(3);
  const Patterns patterns = find_patterns(StateReader(held.view, coding), nullptr, Execution{});
  const ScoreTable table = random_scores(4, 8, 4, 3);
  const Expectation one = expect(patterns, table, Counting::leave_one_out, Execution{1, {}});
  for (const int n_threads : {2, 3, 7}) {
    const Expectation several =
        expect(patterns, table, Counting::leave_one_out, Execution{n_threads, {}});
    CHECK(several.of_state == one.of_state);
    CHECK(several.of_vector == one.of_vector);
    CHECK(several.log_likelihood == one.log_likelihood);
  }
}

TEST_CASE("a table of another shape, or of counts, is refused") {
  const Labels labels = random_labels(7, 10, 2, {2});
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(2);
  const Patterns patterns = find_patterns(StateReader(held.view, coding), nullptr, Execution{});
  CHECK_THROWS_AS(expect(patterns, random_scores(8, 2, 4, 2), Counting::full, Execution{}),
                  std::invalid_argument);
  ScoreTable counts = random_scores(8, 2, 3, 2);
  counts.link = Link::share;
  CHECK_THROWS_AS(expect(patterns, counts, Counting::full, Execution{}), std::invalid_argument);
}

}  // namespace consilience::test
