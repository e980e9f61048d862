#include "consilience/expectation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "consilience/evidence.hpp"
#include "consilience/patterns.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

using Row = std::vector<std::int64_t>;

std::vector<double> random_weights(std::uint64_t seed, Index n) {
  Random random(seed);
  std::vector<double> weights;
  for (Index i = 0; i < n; ++i) weights.push_back(random.uniform(0, 3));
  return weights;
}

Row row_of_pattern(const Patterns& found, std::size_t u) {
  const Patterns patterns = listed(found);
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

std::vector<double> softmax(std::vector<double> scores, double* total) {
  *total = 0;
  for (double& score : scores) *total += score = std::exp(score);
  for (double& score : scores) score /= *total;
  return scores;
}

/// What each vote says, (n_columns, n_states, K): rows sum to 1.
std::vector<double> random_opinions(std::uint64_t seed, Index n_columns, std::int32_t n_states,
                                    Index k) {
  Random random(seed);
  std::vector<double> said;
  for (Index s = 0; s < n_columns * n_states; ++s) {
    std::vector<double> row;
    for (Index y = 0; y < k; ++y) row.push_back(random.uniform(-1, 1));
    double total = 0;
    for (const double p : softmax(row, &total)) said.push_back(p);
  }
  return said;
}

/// The slow, obvious twin: item by item, from the definition.
struct Plain {
  const Labels& labels;
  const ScoreTable& table;
  std::int32_t n_states = labels.cardinalities[0] + 1;

  std::size_t entry(Index j, std::int64_t label, Index y) const {
    return static_cast<std::size_t>((j * n_states + label + 1) * table.n_vectors + y);
  }

  /// Scores of an item, without the vote of one source (or -1).
  std::vector<double> scores(Index i, Index without = -1) const {
    std::vector<double> sums = table.base;
    for (Index j = 0; j < labels.n_sources; ++j) {
      if (labels.at(0, i, j) < 0 || j == without) continue;
      for (Index y = 0; y < table.n_vectors; ++y) {
        sums[static_cast<std::size_t>(y)] += table.of_state[entry(j, labels.at(0, i, j), y)];
      }
    }
    return sums;
  }

  /// Mean of what an item's votes say, without that of one source (or -1); empty without votes.
  std::vector<double> mean_vote(Index i, const std::vector<double>& said,
                                Index without = -1) const {
    std::vector<double> mean;
    double n = 0;
    for (Index j = 0; j < labels.n_sources; ++j) {
      if (labels.at(0, i, j) < 0 || j == without) continue;
      mean.resize(static_cast<std::size_t>(table.n_vectors), 0.0);
      for (Index y = 0; y < table.n_vectors; ++y) {
        mean[static_cast<std::size_t>(y)] += said[entry(j, labels.at(0, i, j), y)];
      }
      ++n;
    }
    for (double& p : mean) p /= n;
    return mean;
  }

  Expectation expectation(const std::vector<double>& weights, const VoteShare& vote) const {
    const Index k = table.n_vectors;
    Expectation sums{std::vector<double>(table.of_state.size(), 0.0),
                     std::vector<double>(static_cast<std::size_t>(k), 0.0), 0.0};
    for (Index i = 0; i < labels.n_items; ++i) {
      const double weight = weights[static_cast<std::size_t>(i)];
      double total = 0;
      std::vector<double> r = softmax(scores(i), &total);
      sums.log_likelihood += weight * std::log(total);
      if (vote.share > 0) {
        const std::vector<double> mean = mean_vote(i, vote.of_state);
        for (std::size_t y = 0; y < mean.size(); ++y) {
          r[y] = (1 - vote.share) * r[y] + vote.share * mean[y];
        }
      }
      for (std::size_t y = 0; y < r.size(); ++y) sums.of_vector[y] += weight * r[y];
      for (Index j = 0; j < labels.n_sources; ++j) {
        if (labels.at(0, i, j) < 0) continue;
        for (Index y = 0; y < k; ++y) {
          sums.of_state[entry(j, labels.at(0, i, j), y)] += weight * r[static_cast<std::size_t>(y)];
        }
      }
    }
    return sums;
  }

  std::vector<double> told_by_others(const std::vector<double>& weights,
                                     const VoteShare& vote) const {
    std::vector<double> sums(table.of_state.size(), 0.0);
    for (Index i = 0; i < labels.n_items; ++i) {
      for (Index j = 0; j < labels.n_sources; ++j) {
        if (labels.at(0, i, j) < 0) continue;
        const std::vector<double> plain = mean_vote(i, vote.of_state, j);
        double total = 0;
        const std::vector<double> p = softmax(scores(i, j), &total);
        for (std::size_t y = 0; y < plain.size(); ++y) {
          sums[entry(j, labels.at(0, i, j), static_cast<Index>(y))] +=
              weights[static_cast<std::size_t>(i)] *
              ((1 - vote.share) * p[y] + vote.share * plain[y]);
        }
      }
    }
    return sums;
  }

  double held_out(const std::vector<double>& weights, const Forecast& forecast, double temperature,
                  double share, double* n_votes) const {
    double sum = 0;
    *n_votes = 0;
    for (Index i = 0; i < labels.n_items; ++i) {
      for (Index j = 0; j < labels.n_sources; ++j) {
        const std::int64_t label = labels.at(0, i, j);
        if (label < 0 || forecast.included[static_cast<std::size_t>(j)] == 0) continue;
        const std::vector<double> plain = mean_vote(i, forecast.vote_of_state, j);
        if (plain.empty()) continue;
        std::vector<double> others = scores(i, j);
        for (double& score : others) score *= temperature;
        double total = 0, told = 0, given = 0;
        const std::vector<double> p = softmax(others, &total);
        for (std::size_t y = 0; y < p.size(); ++y) {
          const double of_label = (1 - share) * p[y] + share * plain[y];
          const std::size_t at = entry(j, label, static_cast<Index>(y));
          told += of_label * forecast.of_vote[at];
          given += of_label * (forecast.given.empty() ? 1.0 : forecast.given[at]);
        }
        const double odds = std::max(told, 1e-9) / std::max(given, 1e-9);
        sum += weights[static_cast<std::size_t>(i)] * std::log(odds);
        *n_votes += weights[static_cast<std::size_t>(i)];
      }
    }
    return sum;
  }
};

}  // namespace

TEST_CASE("expected counts are those of the definition, with any share of the plain vote") {
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
    for (const double share : {0.0, 0.3, 1.0}) {
      const VoteShare vote{share, random_opinions(seed + 200, m, 4, k)};
      const Expectation expected = Plain{labels, table}.expectation(weights, vote);
      const Expectation found = expect(patterns, table, vote, Execution{});
      CHECK(found.log_likelihood == doctest::Approx(expected.log_likelihood).epsilon(1e-12));
      for (std::size_t y = 0; y < expected.of_vector.size(); ++y) {
        REQUIRE(found.of_vector[y] == doctest::Approx(expected.of_vector[y]).epsilon(1e-10));
      }
      for (std::size_t i = 0; i < expected.of_state.size(); ++i) {
        REQUIRE(std::abs(found.of_state[i] - expected.of_state[i]) <
                1e-9 * (1 + expected.of_state[i]));
      }
    }
  }
}

TEST_CASE("what is expected of items is that of the definition, whatever their votes are held in") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    // Few vectors are looked up by column, many added vote by vote.
    const Index n = random.below(5000), m = 1 + random.below(6), k = 1 + random.below(12);
    const Labels labels = random_labels(seed, n, m, {3}, 0.6);
    const std::vector<double> weights(static_cast<std::size_t>(n), 1.0);
    const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
    const StateCoding coding = StateCoding::of_one_task(3);
    const ScoreTable table = random_scores(seed + 100, m, 4, k);
    const Expectation expected = Plain{labels, table}.expectation(weights, {});
    const Expectation found =
        expect_items(StateReader(dense.view, coding), nullptr, table, Execution{});
    // Each of n probabilities is rounded to a multiple of 2^-31.
    const double rounding = 1e-9 + static_cast<double>(n * k) * 0x1p-32;
    CHECK(std::abs(found.log_likelihood - expected.log_likelihood) <
          1e-12 * (1 + std::abs(expected.log_likelihood)));
    for (std::size_t y = 0; y < expected.of_vector.size(); ++y) {
      REQUIRE(std::abs(found.of_vector[y] - expected.of_vector[y]) < rounding);
    }
    REQUIRE(found.of_state.size() == expected.of_state.size());
    for (std::size_t i = 0; i < expected.of_state.size(); ++i) {
      REQUIRE(std::abs(found.of_state[i] - expected.of_state[i]) < rounding);
    }
    const Expectation of_sparse =
        expect_items(StateReader(sparse.view, coding), nullptr, table, Execution{2, {}});
    CHECK(of_sparse.of_state == found.of_state);
    CHECK(of_sparse.of_vector == found.of_vector);
    CHECK(of_sparse.log_likelihood == found.log_likelihood);
  }
}

TEST_CASE("what is expected of items has the same bits by every instruction set and thread count") {
  for (const Index k : {Index{2}, Index{3}, Index{9}}) {
    CAPTURE(k);
    const Labels labels = random_labels(31, 9000, 21, {2}, 0.4);
    const HeldVotes held = dense_votes(labels);
    const StateCoding coding = StateCoding::of_one_task(2);
    const StateReader reader(held.view, coding);
    const ScoreTable table = random_scores(32, 21, 3, k);
    const Expectation expected = expect_items(reader, nullptr, table, Execution{});
    for (const std::string& level : simd_levels()) {
      CAPTURE(level);
      const WithSimdLevel with(level);
      for (const int n_threads : {1, 3}) {
        const Expectation found = expect_items(reader, nullptr, table, {n_threads, {}});
        CHECK(found.of_state == expected.of_state);
        CHECK(found.of_vector == expected.of_vector);
        CHECK(found.log_likelihood == expected.log_likelihood);
      }
    }
  }
}

TEST_CASE("exact sums over distinct rows are those over the items, bit for bit") {
  struct Shape {
    Index m, k;
  };
  // Looked up by column, listed because vectors are many, and too wide for keys.
  for (const Shape shape : {Shape{1, 1}, {5, 2}, {6, 3}, {5, 11}, {70, 2}, {70, 4}}) {
    CAPTURE(shape.m);
    CAPTURE(shape.k);
    for (const Index n : {Index{0}, Index{1}, Index{5000}}) {
      const Labels labels = random_labels(7, n, shape.m, {3}, shape.m > 8 ? 0.02 : 0.6);
      const HeldVotes held = dense_votes(labels);
      const StateCoding coding = StateCoding::of_one_task(3);
      const StateReader reader(held.view, coding);
      const Patterns patterns = find_patterns(reader, nullptr, Execution{});
      CHECK((n < 10 || patterns.size() < n));
      const ScoreTable table = random_scores(8, shape.m, 4, shape.k);
      const Expectation expected = expect_items(reader, nullptr, table, Execution{});
      Expectation last;
      for (const int n_threads : {1, 3}) {
        const Expectation found = expect_exactly(patterns, table, {n_threads, {}});
        CHECK(found.of_state == expected.of_state);
        CHECK(found.of_vector == expected.of_vector);
        CHECK(found.log_likelihood == doctest::Approx(expected.log_likelihood).epsilon(1e-13));
        if (n_threads > 1) CHECK(found.log_likelihood == last.log_likelihood);
        last = found;
      }
    }
  }
}

TEST_CASE("items that are left out weigh nothing") {
  for (const Index k : {Index{2}, Index{3}, Index{11}}) {
    CAPTURE(k);
    const Labels labels = random_labels(12, 4000, 6, {3}, 0.5);
    const HeldVotes held = dense_votes(labels);
    const StateCoding coding = StateCoding::of_one_task(3);
    const StateReader reader(held.view, coding);
    const ScoreTable table = random_scores(13, 6, 4, k);
    std::vector<std::uint8_t> left_out(4000, 0);
    std::vector<double> weights(4000, 1.0);
    for (std::size_t i = 0; i < 4000; i += 1 + i % 7) {
      left_out[i] = 1;
      weights[i] = 0.0;
    }
    const Patterns patterns = find_patterns(reader, weights.data(), Execution{});
    const Expectation expected = expect_exactly(patterns, table, Execution{});
    const Expectation found = expect_items(reader, left_out.data(), table, Execution{2, {}});
    CHECK(found.of_state == expected.of_state);
    CHECK(found.of_vector == expected.of_vector);
    CHECK(found.log_likelihood == doctest::Approx(expected.log_likelihood).epsilon(1e-13));
  }
}

TEST_CASE("exact sums hold rows that weigh very much, and refuse weights that are not whole") {
  for (const Index k : {Index{2}, Index{4}, Index{10}}) {
    CAPTURE(k);
    const Labels labels = random_labels(9, 3000, 5, {2}, 0.5);
    const HeldVotes held = dense_votes(labels);
    const StateCoding coding = StateCoding::of_one_task(2);
    Random random(10);
    std::vector<double> weights(3000, 0.0);
    for (double& weight : weights) {
      weight = random.below(3) == 0 ? static_cast<double>(random.below(1 << 20)) : 1.0;
    }
    Patterns patterns = find_patterns(StateReader(held.view, coding), weights.data(), Execution{});
    const ScoreTable table = random_scores(11, 5, 3, k);
    const Expectation expected = Plain{labels, table}.expectation(weights, {});
    const Expectation found = expect_exactly(patterns, table, Execution{});
    CHECK(found.log_likelihood == doctest::Approx(expected.log_likelihood).epsilon(1e-12));
    const double rounding = static_cast<double>(k) * 0x1p-32 * 3000 * 0x1p20;
    for (std::size_t i = 0; i < expected.of_state.size(); ++i) {
      REQUIRE(std::abs(found.of_state[i] - expected.of_state[i]) < rounding);
    }
    double total = 0;
    for (const double of_vector : found.of_vector) total += of_vector;
    CHECK(total ==
          doctest::Approx(std::accumulate(weights.begin(), weights.end(), 0.0)).epsilon(1e-14));
    for (const double bad : {0.5, -1.0, 0x1p33, std::nan("")}) {
      patterns.weight[0] = bad;
      CHECK_THROWS_AS(expect_exactly(patterns, table, Execution{}), std::invalid_argument);
    }
  }
}

TEST_CASE("a pass over items refuses tables that do not fit the votes") {
  const HeldVotes held = dense_votes(random_labels(1, 5, 3, {2}));
  const StateCoding coding = StateCoding::of_one_task(2);
  const StateReader reader(held.view, coding);
  CHECK_THROWS_AS(expect_items(reader, nullptr, random_scores(1, 2, 3, 2), {}),
                  std::invalid_argument);
  ScoreTable table = random_scores(1, 3, 3, 2);
  table.link = Link::share;
  CHECK_THROWS_AS(expect_items(reader, nullptr, table, {}), std::invalid_argument);
}

TEST_CASE("what others tell of a vote is that of the definition, for any number of threads") {
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
    for (const double share : {0.0, 0.3, 1.0}) {
      const VoteShare vote{share, random_opinions(seed + 200, m, 4, k)};
      const std::vector<double> expected = Plain{labels, table}.told_by_others(weights, vote);
      const std::vector<double> found = told_by_others(patterns, table, vote, Execution{});
      for (std::size_t i = 0; i < expected.size(); ++i) {
        REQUIRE(std::abs(found[i] - expected[i]) < 1e-9 * (1 + expected[i]));
      }
      CHECK(told_by_others(patterns, table, vote, Execution{3, {}}) == found);
    }
  }
}

TEST_CASE("expected counts have the same bits by every instruction set and thread count") {
  // Columns that are looked up, and rows that are listed: many vectors, or more than 64 bits a row.
  struct Shape {
    Index m, k;
  };
  for (const Shape& shape : {Shape{9, 2}, {9, 3}, {9, 7}, {40, 2}}) {
    CAPTURE(shape.m);
    CAPTURE(shape.k);
    const Labels labels = random_labels(21, 9000, shape.m, {2}, 0.6);
    const HeldVotes held = dense_votes(labels);
    const StateCoding coding = StateCoding::of_one_task(2);
    const Patterns patterns = find_patterns(StateReader(held.view, coding), nullptr, Execution{});
    REQUIRE(patterns.is_keyed() == (shape.m != 40));
    const ScoreTable table = random_scores(22, shape.m, 3, shape.k);
    for (const double share : {0.0, 0.3}) {
      const VoteShare vote{share, random_opinions(23, shape.m, 3, shape.k)};
      const Expectation expected = expect(patterns, table, vote, Execution{});
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        for (const int n_threads : {1, 3}) {
          const Expectation found = expect(patterns, table, vote, {n_threads, {}});
          CHECK(found.of_state == expected.of_state);
          CHECK(found.of_vector == expected.of_vector);
          CHECK(found.log_likelihood == expected.log_likelihood);
        }
      }
    }
  }
}

TEST_CASE("held-out votes are foretold as by the definition") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Index n = 1 + random.below(2000), m = 1 + random.below(6), k = 1 + random.below(4);
    const Labels labels = random_labels(seed, n, m, {3}, 0.6);
    const std::vector<double> weights = random_weights(seed, n);
    const HeldVotes held = dense_votes(labels);
    const StateCoding coding = StateCoding::of_one_task(3);
    const Patterns patterns =
        find_patterns(StateReader(held.view, coding), weights.data(), Execution{});
    const ScoreTable table = random_scores(seed + 100, m, 4, k);
    const std::vector<double> said = random_opinions(seed + 200, m, 4, k);
    std::vector<double> of_vote, given;
    for (Index j = 0; j < m * 4 * k; ++j) {
      of_vote.push_back(random.uniform(0.01, 1));
      if (seed % 2 == 1) given.push_back(random.uniform(0.01, 1));
    }
    std::vector<std::uint8_t> included(static_cast<std::size_t>(m), 1);
    included[0] = m > 1 ? 0 : 1;
    const Forecast forecast{table, said, of_vote, given, included, {1.0, 0.4}, {0.0, 0.25, 1.0}};
    const HeldOut found = held_out_votes(patterns, forecast, Execution{});
    for (std::size_t t = 0; t < 2; ++t) {
      for (std::size_t w = 0; w < 3; ++w) {
        double n_votes = 0;
        const double expected = Plain{labels, table}.held_out(
            weights, forecast, forecast.temperatures[t], forecast.shares[w], &n_votes);
        CHECK(found.log_likelihood[t * 3 + w] == doctest::Approx(expected).epsilon(1e-9));
        CHECK(found.n_votes == doctest::Approx(n_votes).epsilon(1e-12));
      }
    }
    const HeldOut three = held_out_votes(patterns, forecast, Execution{3, {}});
    CHECK(three.log_likelihood == found.log_likelihood);
  }
}

TEST_CASE("the preferred vector of a pattern has the highest score, the first of equals") {
  const Labels labels = random_labels(2, 500, 4, {3}, 0.5);
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(3);
  const Patterns patterns = find_patterns(StateReader(held.view, coding), nullptr, Execution{});
  const ScoreTable table = random_scores(9, 4, 4, 3);
  const std::vector<std::int32_t> found = preferred(patterns, table);
  for (std::size_t u = 0; u < patterns.weight.size(); ++u) {
    std::vector<double> scores = table.base;
    const Row row = row_of_pattern(patterns, u);
    for (std::size_t j = 0; j < row.size(); ++j) {
      if (row[j] < 0) continue;
      for (std::size_t y = 0; y < 3; ++y) {
        scores[y] += table.of_state[(j * 4 + static_cast<std::size_t>(row[j]) + 1) * 3 + y];
      }
    }
    REQUIRE(found[u] == std::max_element(scores.begin(), scores.end()) - scores.begin());
  }
  const ScoreTable flat{3, {0, 0, 0}, std::vector<double>(4 * 4 * 3, 0.0), Link::softmax};
  CHECK(preferred(patterns, flat) == std::vector<std::int32_t>(patterns.weight.size(), 0));
}

TEST_CASE("selected patterns keep the votes of the chosen columns, numbered anew, row by row") {
  const Labels labels = random_labels(3, 400, 5, {3}, 0.5);
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(3);
  const Patterns patterns = find_patterns(StateReader(held.view, coding), nullptr, Execution{});
  const std::vector<std::int64_t> rows = {7, 0, 7, patterns.size() - 1};
  const Patterns chosen = select(patterns, rows, {1, 2, 3, 4}, {0, 1, 0, 1, 1});
  CHECK(chosen.n_columns == 3);
  CHECK(chosen.weight == std::vector<double>{1, 2, 3, 4});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row whole = row_of_pattern(patterns, static_cast<std::size_t>(rows[i]));
    CHECK(row_of_pattern(chosen, i) == Row{whole[1], whole[3], whole[4]});
  }
  CHECK_THROWS_AS(select(patterns, {patterns.size()}, {1}, {1, 1, 1, 1, 1}), std::invalid_argument);
  CHECK_THROWS_AS(select(patterns, {0}, {1, 2}, {1, 1, 1, 1, 1}), std::invalid_argument);
  CHECK_THROWS_AS(select(patterns, {0}, {1}, {1, 1}), std::invalid_argument);
}

TEST_CASE("states are numbered anew, and those numbered 0 are no votes any more") {
  const Labels labels = random_labels(6, 300, 2, {3}, 0.6);
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(3);
  const Patterns patterns = find_patterns(StateReader(held.view, coding), nullptr, Execution{});
  const Patterns found = with_states(patterns, {0, 1, 0, 2, 0, 0, 1, 0}, 3);
  CHECK(found.n_states == 3);
  CHECK(found.weight == patterns.weight);
  const std::vector<Row> expected = {{-1, 0, -1, 1}, {-1, -1, 0, -1}};  // by source and label + 1
  for (Index u = 0; u < patterns.size(); ++u) {
    const Row whole = row_of_pattern(patterns, static_cast<std::size_t>(u));
    Row wanted;
    for (std::size_t j = 0; j < 2; ++j) {
      wanted.push_back(expected[j][static_cast<std::size_t>(whole[j] + 1)]);
    }
    REQUIRE(row_of_pattern(found, static_cast<std::size_t>(u)) == wanted);
  }
  CHECK_THROWS_AS(with_states(patterns, {0, 1, 0, 3, 0, 0, 1, 0}, 3), std::invalid_argument);
  CHECK_THROWS_AS(with_states(patterns, {0, 1}, 3), std::invalid_argument);
}

TEST_CASE("with a column for each state, a vote is that it was cast") {
  const Labels labels = random_labels(5, 300, 3, {3}, 0.6);
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(3);
  const Patterns patterns = find_patterns(StateReader(held.view, coding), nullptr, Execution{});
  // Source 1 is left out, and so is the second class of source 2.
  const std::vector<std::uint8_t> kept = {0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1};
  const Patterns split = with_column_per_state(patterns, kept);
  CHECK(split.n_columns == 5);
  CHECK(split.n_states == 2);
  CHECK(split.weight == patterns.weight);
  for (Index u = 0; u < patterns.size(); ++u) {
    const Row whole = row_of_pattern(patterns, static_cast<std::size_t>(u));
    const auto cast = [&](std::size_t j, std::int64_t label) { return whole[j] == label ? 0 : -1; };
    REQUIRE(row_of_pattern(split, static_cast<std::size_t>(u)) ==
            Row{cast(0, 0), cast(0, 1), cast(0, 2), cast(2, 0), cast(2, 2)});
  }
  CHECK_THROWS_AS(with_column_per_state(patterns, {1, 1}), std::invalid_argument);
}

TEST_CASE("the evidence of counts is that of drawing them one by one") {
  // Pólya's urn: each vote's probability given those before. Two groups, of three rows and two.
  const std::vector<std::int64_t> group = {4, 4, 4, 7, 7};
  const std::vector<double> counts = {3, 0, 1, 2, 0, 5, 2, 1, 5, 0};
  const std::vector<double> centre = {0.5, 0.1, 0.3, 0.8, 0.2, 0.1, 0.6, 1.0, 0.4, 0.0};
  const std::vector<double> strengths = {0.5, 4, 100};
  const std::vector<double> found =
      dirichlet_evidence(counts.data(), centre.data(), 2, group, strengths);
  for (std::size_t c = 0; c < strengths.size(); ++c) {
    double expected = 0;
    for (const std::int64_t one : {4, 7}) {
      for (std::size_t y = 0; y < 2; ++y) {
        double drawn = 0;
        for (std::size_t i = 0; i < group.size(); ++i) {
          const double prior = strengths[c] * centre[i * 2 + y];
          if (group[i] != one || prior == 0) continue;
          for (double vote = 0; vote < counts[i * 2 + y]; ++vote) {
            expected += std::log((prior + vote) / (strengths[c] + drawn++));
          }
        }
      }
    }
    CHECK(found[c] == doctest::Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("expected counts have the same bits for any number of threads") {
  const Labels labels = random_labels(3, 20000, 8, {3}, 0.7);
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(3);
  const Patterns patterns = find_patterns(StateReader(held.view, coding), nullptr, Execution{});
  const ScoreTable table = random_scores(4, 8, 4, 3);
  const VoteShare vote{0.3, random_opinions(5, 8, 4, 3)};
  const Expectation one = expect(patterns, table, vote, Execution{1, {}});
  for (const int n_threads : {2, 3, 7}) {
    const Expectation several = expect(patterns, table, vote, Execution{n_threads, {}});
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
  CHECK_THROWS_AS(expect(patterns, random_scores(8, 2, 4, 2), VoteShare{}, Execution{}),
                  std::invalid_argument);
  ScoreTable counts = random_scores(8, 2, 3, 2);
  counts.link = Link::share;
  CHECK_THROWS_AS(expect(patterns, counts, VoteShare{}, Execution{}), std::invalid_argument);
  CHECK_THROWS_AS(expect(patterns, random_scores(8, 2, 3, 2), VoteShare{0.5, {}}, Execution{}),
                  std::invalid_argument);
}

}  // namespace consilience::test
