#include "consilience/posterior.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "consilience/errors.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

ScoreTable random_table(std::uint64_t seed, Index m, std::int32_t n_states, Index k, Link link) {
  Random random(seed);
  ScoreTable table{k, {}, {}, link};
  const double low = link == Link::softmax ? -4 : 0;
  for (Index y = 0; y < k; ++y) table.base.push_back(random.uniform(low, 2));
  for (Index i = 0; i < m * n_states * k; ++i) {
    // Entries of state 0 are set too: they must not be read.
    table.of_state.push_back(random.uniform(low, 2));
  }
  return table;
}

std::vector<long double> plain_scores(const std::vector<std::int32_t>& states, std::size_t item,
                                      Index m, std::int32_t n_states, const ScoreTable& table) {
  std::vector<long double> scores(table.base.begin(), table.base.end());
  for (Index j = 0; j < m; ++j) {
    const std::int32_t state =
        states[item * static_cast<std::size_t>(m) + static_cast<std::size_t>(j)];
    if (state == 0) continue;
    for (Index y = 0; y < table.n_vectors; ++y) {
      scores[static_cast<std::size_t>(y)] +=
          table.of_state[static_cast<std::size_t>((j * n_states + state) * table.n_vectors + y)];
    }
  }
  return scores;
}

/// The slow, obvious twin, in long double: (n_items, n_classes) row by row.
std::vector<double> plain_posterior(const std::vector<std::int32_t>& states, Index m,
                                    std::int32_t n_states, const ScoreTable& table,
                                    const std::vector<std::int32_t>& class_of_vector,
                                    std::size_t n_classes) {
  const std::size_t n = states.size() / static_cast<std::size_t>(m);
  std::vector<double> result;
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<long double> scores = plain_scores(states, i, m, n_states, table);
    if (table.link == Link::softmax) {
      const long double largest = *std::max_element(scores.begin(), scores.end());
      for (long double& score : scores) score = std::exp(score - largest);
    }
    const long double total = std::accumulate(scores.begin(), scores.end(), 0.0L);
    std::vector<long double> of_class(n_classes, 0);
    for (std::size_t y = 0; y < scores.size(); ++y) {
      of_class[static_cast<std::size_t>(class_of_vector[y])] += scores[y] / total;
    }
    for (const long double p : of_class) result.push_back(static_cast<double>(p));
  }
  return result;
}

std::vector<std::int32_t> one_class_each(Index k) {
  std::vector<std::int32_t> classes(static_cast<std::size_t>(k));
  std::iota(classes.begin(), classes.end(), 0);
  return classes;
}

std::vector<double> joint(const StateReader& reader, const ScoreTable& table, int n_threads = 1) {
  std::vector<double> p(static_cast<std::size_t>(reader.votes().n_items * table.n_vectors));
  posterior(reader, {{1.0, table}}, {{one_class_each(table.n_vectors), table.n_vectors, p.data()}},
            {n_threads, {}});
  return p;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::fmax(largest, std::fabs(a[i] - b[i]));
  return largest;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

// 10 sources add scores of size 4: errors of 1e-15 a term, and p (1 - p) of that in p.
constexpr double kTolerance = 1e-14;

TEST_CASE("the posterior equals the twin for 1 to 12 vectors and for 200") {
  for (const Index k : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 200}) {
    CAPTURE(k);
    const auto classes = static_cast<std::int32_t>(k);
    const Labels labels = random_labels(static_cast<std::uint64_t>(k), 517, 10, {classes}, 0.6);
    const StateCoding coding = StateCoding::of_one_task(classes);
    for (const Link link : {Link::softmax, Link::share}) {
      const ScoreTable table =
          random_table(static_cast<std::uint64_t>(50 + k), 10, classes + 1, k, link);
      const auto expected = plain_posterior(states_of_one_task(labels), 10, classes + 1, table,
                                            one_class_each(k), static_cast<std::size_t>(k));
      const HeldVotes votes = dense_votes(labels, IntType::i16);
      const StateReader reader(votes.view, coding);
      CHECK(largest_difference(joint(reader, table), expected) < kTolerance);
    }
  }
}

TEST_CASE("the same bits come from every layout, CSR form, instruction set and thread count") {
  for (const Index k : {1, 2, 3, 8, 9, 20}) {
    CAPTURE(k);
    const Index n = 2500;
    const auto classes = static_cast<std::int32_t>(k);
    const Labels labels = random_labels(static_cast<std::uint64_t>(k), n, 5, {classes}, 0.5);
    const StateCoding coding = StateCoding::of_one_task(classes);
    const HeldVotes dense = dense_votes(labels),
                    by_source = dense_votes(labels, IntType::i32, {"Fortran order", 1, n}),
                    reversed = dense_votes(labels, IntType::i8, {"reversed", -5, -1}),
                    sparse = sparse_votes(labels),
                    zeros = sparse_votes(labels, IntType::i64, IntType::i16,
                                         Zeros::every_other_one_stored);
    for (const Link link : {Link::softmax, Link::share}) {
      const ScoreTable table = random_table(60, 5, classes + 1, k, link);
      const std::vector<double> expected = joint(StateReader(dense.view, coding), table);
      for (const VoteView& votes :
           {dense.view, by_source.view, reversed.view, sparse.view, zeros.view}) {
        const StateReader reader(votes, coding);
        for (const std::string& level : simd_levels()) {
          CAPTURE(level);
          const WithSimdLevel with(level);
          for (const int n_threads : {1, 2, 3}) {
            CHECK(same_bits(joint(reader, table, n_threads), expected));
          }
        }
      }
    }
  }
}

constexpr RowStrategy kEveryStrategy[] = {RowStrategy::automatic, RowStrategy::every_item,
                                          RowStrategy::possible_rows, RowStrategy::distinct_rows};

TEST_CASE("every strategy gives the same bits, from every layout and by every instruction set") {
  for (const Index k : {1, 2, 3, 5, 9, 12}) {
    CAPTURE(k);
    // Few possible rows, so that their table is taken; at k = 12 more rows than a worker samples.
    const Index n = 20000, m = k < 9 ? 4 : 3;
    const auto classes = static_cast<std::int32_t>(k);
    const Labels labels = random_labels(static_cast<std::uint64_t>(k), n, m, {classes}, 0.4);
    const StateCoding coding = StateCoding::of_one_task(classes);
    const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels),
                    by_source = dense_votes(labels, IntType::i8, {"Fortran order", 1, n});
    const ScoreTable table = random_table(90, m, classes + 1, k, Link::softmax);
    const std::vector<std::int32_t> order = one_class_each(k);
    std::vector<double> expected;
    std::vector<std::int64_t> expected_best;
    for (const VoteView& votes : {dense.view, sparse.view, by_source.view}) {
      const StateReader reader(votes, coding);
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        for (const RowStrategy strategy : kEveryStrategy) {
          for (const int n_threads : {1, 3}) {
            std::vector<double> p(static_cast<std::size_t>(n * k), -1);
            std::vector<float> rounded(p.size(), -1);
            std::vector<std::int64_t> best(static_cast<std::size_t>(n), -1);
            posterior(reader, {{1.0, table}}, {{order, k, p.data()}, {order, k, rounded.data()}},
                      {n_threads, {}}, strategy);
            most_probable(reader, {{1.0, table}}, order, best.data(), {n_threads, {}}, strategy);
            if (expected.empty()) {
              expected = p;
              expected_best = best;
            }
            CHECK(same_bits(p, expected));
            CHECK(best == expected_best);
            CHECK(std::equal(rounded.begin(), rounded.end(), p.begin(),
                             [](float a, double b) { return a == static_cast<float>(b); }));
          }
        }
      }
    }
  }
}

TEST_CASE("a table of the rows met is given up where nearly every row is new, at the same bits") {
  const Index n = 40000, m = 12;
  const Labels labels = random_labels(91, n, m, {10}, 0.9);
  const StateCoding coding = StateCoding::of_one_task(10);
  const HeldVotes dense = dense_votes(labels);
  const ScoreTable table = random_table(92, m, 11, 10, Link::softmax);
  const StateReader reader(dense.view, coding);
  const auto answer = [&](RowStrategy strategy) {
    std::vector<double> p(static_cast<std::size_t>(n * 10));
    posterior(reader, {{1.0, table}}, {{one_class_each(10), 10, p.data()}}, {2, {}}, strategy);
    return p;
  };
  CHECK(same_bits(answer(RowStrategy::distinct_rows), answer(RowStrategy::every_item)));
}

TEST_CASE("a table of all possible rows that would be too large is refused") {
  const Labels labels = random_labels(93, 10, 40, {2});
  const StateCoding coding = StateCoding::of_one_task(2);
  const HeldVotes votes = dense_votes(labels);
  const ScoreTable table = random_table(94, 40, 3, 2, Link::softmax);
  std::vector<std::int64_t> best(10);
  CHECK_THROWS_AS(most_probable(StateReader(votes.view, coding), {{1.0, table}}, {0, 1},
                                best.data(), {}, RowStrategy::possible_rows),
                  std::invalid_argument);
}

TEST_CASE("several tasks and sources read together have the same bits by every strategy") {
  const Labels labels = random_labels(95, 30000, 5, {2, 3}, 0.3);
  const CodedStates coded = code_several_tasks(labels, 5);
  const ScoreTable table = random_table(96, 5, 5, 6, Link::softmax);
  const Labels plain = random_labels(97, 30000, 6, {2}, 0.5);
  const CodedStates together =
      read_together(StateCoding::of_one_task(2), states_of_one_task(plain), 6);
  const std::int32_t n_states = together.coding.n_states();
  const Index n_columns = together.coding.components()->n_components;
  const ScoreTable joint_table = random_table(98, n_columns, n_states, 3, Link::share);
  const HeldVotes tasks = dense_votes(labels), tasks_sparse = sparse_votes(labels),
                  pairs = dense_votes(plain), pairs_sparse = sparse_votes(plain);
  const std::vector<std::int32_t> of_first{0, 0, 0, 1, 1, 1};
  const auto check = [](const StateReader& reader, const ScoreTable& scores,
                        const std::vector<std::int32_t>& classes, Index n_classes) {
    std::vector<double> expected;
    for (const RowStrategy strategy : kEveryStrategy) {
      std::vector<double> p(static_cast<std::size_t>(30000 * n_classes));
      posterior(reader, {{1.0, scores}}, {{classes, n_classes, p.data()}}, {2, {}}, strategy);
      if (expected.empty()) expected = p;
      CHECK(same_bits(p, expected));
    }
  };
  for (const VoteView& votes : {tasks.view, tasks_sparse.view}) {
    check(StateReader(votes, coded.coding), table, of_first, 2);
  }
  for (const VoteView& votes : {pairs.view, pairs_sparse.view}) {
    check(StateReader(votes, together.coding), joint_table, one_class_each(3), 3);
  }
}

TEST_CASE("an item's row has the same bits alone as among others") {
  const Labels labels = random_labels(61, 200, 6, {3}, 0.6);
  const StateCoding coding = StateCoding::of_one_task(3);
  const ScoreTable table = random_table(62, 6, 4, 3, Link::softmax);
  const HeldVotes all = dense_votes(labels);
  const std::vector<double> together = joint(StateReader(all.view, coding), table);
  std::vector<double> one_by_one;
  for (Index i = 0; i < 200; ++i) {
    Labels row{1, 6, {3}, {{}}};
    row.tables[0].assign(labels.tables[0].begin() + i * 6, labels.tables[0].begin() + (i + 1) * 6);
    const HeldVotes votes = dense_votes(row);
    const std::vector<double> p = joint(StateReader(votes.view, coding), table);
    one_by_one.insert(one_by_one.end(), p.begin(), p.end());
  }
  CHECK(same_bits(one_by_one, together));
}

TEST_CASE("odd numbers of items and sources are written within the memory of the result") {
  for (const Index n : {1, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 4097}) {
    for (const Index m : {1, 3, 17}) {
      for (const std::int32_t k : {2, 4, 9}) {
        CAPTURE(n);
        CAPTURE(m);
        CAPTURE(k);
        const Labels labels = random_labels(static_cast<std::uint64_t>(n + m), n, m, {k});
        const StateCoding coding = StateCoding::of_one_task(k);
        const ScoreTable table = random_table(63, m, k + 1, k, Link::softmax);
        const auto expected = plain_posterior(states_of_one_task(labels), m, k + 1, table,
                                              one_class_each(k), static_cast<std::size_t>(k));
        const HeldVotes votes = dense_votes(labels);
        CHECK(largest_difference(joint(StateReader(votes.view, coding), table, 2), expected) <
              kTolerance);
      }
    }
  }
}

TEST_CASE("marginals of several tasks add up the vectors of each class") {
  const Labels labels = random_labels(64, 3000, 5, {2, 3}, 0.5);
  const CodedStates coded = code_several_tasks(labels, 8);
  const ScoreTable table = random_table(65, 5, 8, 6, Link::softmax);
  const std::vector<std::int32_t> first{0, 0, 0, 1, 1, 1}, second{0, 1, 2, 0, 1, 2};
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    const StateReader reader(votes, coded.coding);
    std::vector<double> of_first(6000), of_second(9000), of_vector(18000);
    posterior(reader, {{1.0, table}},
              {{first, 2, of_first.data()},
               {second, 3, of_second.data()},
               {one_class_each(6), 6, of_vector.data()}},
              {2, {}});
    const auto twin = [&](const std::vector<std::int32_t>& classes, std::size_t n_classes) {
      return plain_posterior(coded.states, 5, 8, table, classes, n_classes);
    };
    CHECK(largest_difference(of_first, twin(first, 2)) < kTolerance);
    CHECK(largest_difference(of_second, twin(second, 3)) < kTolerance);
    CHECK(largest_difference(of_vector, twin(one_class_each(6), 6)) < kTolerance);
  }
}

TEST_CASE("sources read together are scored by their component") {
  const Labels labels = random_labels(83, 2100, 7, {3}, 0.5);
  const CodedStates together =
      read_together(StateCoding::of_one_task(3), states_of_one_task(labels), 7);
  const std::int32_t n_states = together.coding.n_states();
  const ScoreTable table = random_table(84, 5, n_states, 3, Link::softmax);
  const auto expected = plain_posterior(together.states, 5, n_states, table, one_class_each(3), 3);
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  const std::vector<double> first = joint(StateReader(dense.view, together.coding), table);
  CHECK(largest_difference(first, expected) < kTolerance);
  CHECK(same_bits(joint(StateReader(sparse.view, together.coding), table, 3), first));
}

TEST_CASE("more states than a byte holds have the posterior of the twin") {
  const Labels labels = random_labels(66, 800, 4, {300}, 0.7);
  const StateCoding coding = StateCoding::of_one_task(300);
  const ScoreTable table = random_table(67, 4, 301, 5, Link::softmax);
  const auto expected =
      plain_posterior(states_of_one_task(labels), 4, 301, table, one_class_each(5), 5);
  const HeldVotes votes = dense_votes(labels, IntType::i16);
  CHECK(largest_difference(joint(StateReader(votes.view, coding), table, 3), expected) <
        kTolerance);
}

TEST_CASE("scores from -1e4 to 1e4 give probabilities that are exact to 1e-15 of themselves") {
  // One source, whose vote for label s adds x_s to the second of two vectors.
  constexpr Index n = 1001;
  Labels labels = random_labels(68, n, 1, {n}, 1.0);
  ScoreTable table{2, {0.0, 0.0}, std::vector<double>(2 * (n + 1), 0.0), Link::softmax};
  for (Index i = 0; i < n; ++i) {
    labels.at(0, i, 0) = i;
    const double t = 2.0 * static_cast<double>(i) / (n - 1) - 1.0;
    table.of_state[static_cast<std::size_t>(2 * (i + 1) + 1)] = 1e4 * t * t * t;  // many near 0
  }
  const StateCoding coding = StateCoding::of_one_task(n);
  const HeldVotes votes = dense_votes(labels, IntType::i16);
  const std::vector<double> p = joint(StateReader(votes.view, coding), table);
  double worst = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const long double x = table.of_state[2 * (i + 1) + 1];
    const long double expected[] = {1 / (1 + std::exp(x)), 1 / (1 + std::exp(-x))};
    for (std::size_t y = 0; y < 2; ++y) {
      if (std::fabs(x) > 708 && expected[y] < 0.5L) {
        CHECK(p[2 * i + y] < 1e-307);  // below the smallest normal number: 0
      } else {
        const auto error = static_cast<double>(std::fabs(p[2 * i + y] / expected[y] - 1));
        worst = std::fmax(worst, error);
      }
    }
  }
  CHECK(worst < 1e-15);
}

TEST_CASE("huge scores that cancel against a common shift leave finite probabilities") {
  const Labels labels = random_labels(69, 300, 4, {3});
  const StateCoding coding = StateCoding::of_one_task(3);
  Random random(70);
  ScoreTable table = random_table(71, 4, 4, 3, Link::softmax);
  for (double& score : table.base) score = random.uniform(-1e4, 1e4);
  for (double& score : table.of_state) score = random.uniform(-1e4, 1e4);
  const HeldVotes votes = dense_votes(labels);
  const std::vector<double> p = joint(StateReader(votes.view, coding), table);
  for (std::size_t i = 0; i < 300; ++i) {
    CHECK(p[3 * i] + p[3 * i + 1] + p[3 * i + 2] == doctest::Approx(1).epsilon(1e-14));
  }
  const auto expected =
      plain_posterior(states_of_one_task(labels), 4, 4, table, one_class_each(3), 3);
  CHECK(largest_difference(p, expected) < 1e-10);  // scores of 4e4 are exact to 1e-11
}

TEST_CASE("an item without votes has the base's probabilities") {
  const Labels labels = random_labels(72, 70, 3, {2}, 0.0);
  const StateCoding coding = StateCoding::of_one_task(2);
  const ScoreTable softmax{
      2, {std::log(0.25), std::log(0.75)}, std::vector<double>(18, 5.0), Link::softmax};
  const ScoreTable share{2, {1, 3}, std::vector<double>(18, 5.0), Link::share};
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    for (const ScoreTable& table : {softmax, share}) {
      const std::vector<double> p = joint(StateReader(votes, coding), table);
      for (std::size_t i = 0; i < 70; ++i) {
        CHECK(p[2 * i] == doctest::Approx(0.25).epsilon(1e-15));
        CHECK(p[2 * i + 1] == doctest::Approx(0.75).epsilon(1e-15));
      }
    }
  }
}

TEST_CASE("shares of votes are counts divided by their sum") {
  Labels labels = random_labels(73, 1, 4, {2}, 1.0);
  labels.tables[0] = {0, 1, 1, 1};
  ScoreTable table{2, {0, 0}, {}, Link::share};
  for (Index j = 0; j < 4; ++j) table.of_state.insert(table.of_state.end(), {0, 0, 1, 0, 0, 1});
  const StateCoding coding = StateCoding::of_one_task(2);
  const HeldVotes votes = dense_votes(labels);
  CHECK(joint(StateReader(votes.view, coding), table) == std::vector<double>{0.25, 0.75});
}

TEST_CASE("no items have a posterior without rows") {
  const StateCoding coding = StateCoding::of_one_task(2);
  const ScoreTable table = random_table(74, 3, 3, 2, Link::softmax);
  const HeldVotes votes = dense_votes(random_labels(75, 0, 3, {2}));
  CHECK(joint(StateReader(votes.view, coding), table, 3).empty());
}

TEST_CASE("a score table of the wrong size is refused") {
  const StateCoding coding = StateCoding::of_one_task(2);
  const HeldVotes votes = dense_votes(random_labels(76, 10, 3, {2}));
  const StateReader reader(votes.view, coding);
  ScoreTable table = random_table(77, 3, 3, 2, Link::softmax);
  table.of_state.pop_back();
  CHECK_THROWS_AS(joint(reader, table), std::invalid_argument);
  table = random_table(77, 3, 3, 2, Link::softmax);
  table.base.push_back(0);
  CHECK_THROWS_AS(joint(reader, table), std::invalid_argument);
}

TEST_CASE("a label out of range is reported by every strategy") {
  Labels labels = random_labels(99, 9000, 3, {2});
  labels.at(0, 8000, 1) = 2;
  const StateCoding coding = StateCoding::of_one_task(2);
  const ScoreTable table = random_table(79, 3, 3, 2, Link::softmax);
  const HeldVotes votes = dense_votes(labels);
  std::vector<std::int64_t> best(9000);
  for (const RowStrategy strategy : kEveryStrategy) {
    CHECK_THROWS_AS(most_probable(StateReader(votes.view, coding), {{1.0, table}}, {0, 1},
                                  best.data(), {2, {}}, strategy),
                    LabelOutOfRange);
  }
}

TEST_CASE("the posterior reports the first label out of range, for any number of threads") {
  Labels labels = random_labels(78, 9000, 3, {2});
  labels.at(0, 4000, 1) = 2;
  labels.at(0, 4001, 0) = 3;
  labels.at(0, 8000, 0) = -3;
  const StateCoding coding = StateCoding::of_one_task(2);
  const ScoreTable table = random_table(79, 3, 3, 2, Link::softmax);
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    for (const int n_threads : {1, 2, 3}) {
      Index row = -1;
      try {
        joint(StateReader(votes, coding), table, n_threads);
      } catch (const LabelOutOfRange& error) {
        row = error.row;
      }
      CHECK(row == 4000);
    }
  }
}

// --- the most probable vector -------------------------------------------------------------------

TEST_CASE("the most probable vector is the twin's, for any layout and number of threads") {
  for (const Index k : {1, 2, 5, 12, 200}) {
    CAPTURE(k);
    const auto classes = static_cast<std::int32_t>(k);
    const Labels labels = random_labels(static_cast<std::uint64_t>(k), 2500, 6, {classes}, 0.5);
    const std::vector<std::int32_t> states = states_of_one_task(labels);
    const StateCoding coding = StateCoding::of_one_task(classes);
    const ScoreTable table = random_table(80, 6, classes + 1, k, Link::softmax);
    std::vector<std::int64_t> expected;
    for (std::size_t i = 0; i < 2500; ++i) {
      const auto scores = plain_scores(states, i, 6, classes + 1, table);
      expected.push_back(std::max_element(scores.begin(), scores.end()) - scores.begin());
    }
    const HeldVotes dense = dense_votes(labels, IntType::i16),
                    sparse = sparse_votes(labels, IntType::i32, IntType::i16);
    for (const VoteView& votes : {dense.view, sparse.view}) {
      for (const int n_threads : {1, 2, 3}) {
        std::vector<std::int64_t> found(2500, -1);
        most_probable(StateReader(votes, coding), {{1.0, table}}, one_class_each(k), found.data(),
                      {n_threads, {}});
        CHECK(found == expected);
      }
    }
  }
}

TEST_CASE("ties go to the vector that comes first in the preference") {
  // Rows: a tie of 1 and 2, a clear 0, no vote at all.
  Labels labels = random_labels(81, 3, 2, {3});
  labels.tables[0] = {1, 2, 0, 0, -1, -1};
  ScoreTable table{3, {0, 0, 0}, {}, Link::share};
  for (Index j = 0; j < 2; ++j) {
    table.of_state.insert(table.of_state.end(), {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1});
  }
  const StateCoding coding = StateCoding::of_one_task(3);
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    for (const Link link : {Link::share, Link::softmax}) {
      table.link = link;
      std::vector<std::int64_t> found(3);
      const StateReader reader(votes, coding);
      most_probable(reader, {{1.0, table}}, {0, 1, 2}, found.data(), {});
      CHECK(found == std::vector<std::int64_t>{1, 0, 0});
      most_probable(reader, {{1.0, table}}, {2, 1, 0}, found.data(), {});
      CHECK(found == std::vector<std::int64_t>{2, 0, 2});
    }
  }
}

TEST_CASE("scores within 1e-9 of the highest tie, beyond they do not") {
  const Labels labels = random_labels(82, 1, 1, {2}, 0.0);
  const StateCoding coding = StateCoding::of_one_task(2);
  const HeldVotes votes = dense_votes(labels);
  const auto best = [&](double second) {
    const ScoreTable table{2, {0, second}, std::vector<double>(6, 0.0), Link::softmax};
    std::int64_t found = -1;
    most_probable(StateReader(votes.view, coding), {{1.0, table}}, {0, 1}, &found, {});
    return found;
  };
  CHECK(best(0.5e-9) == 0);
  CHECK(best(2e-9) == 1);
}

// --- several score tables

/// The slow, obvious twin of a mixture.
std::vector<double> plain_mixture(const std::vector<std::int32_t>& states, Index m,
                                  std::int32_t n_states, const std::vector<WeightedScores>& parts,
                                  const std::vector<std::int32_t>& class_of_vector,
                                  std::size_t n_classes) {
  std::vector<double> mean;
  for (const WeightedScores& part : parts) {
    const auto p = plain_posterior(states, m, n_states, part.scores, class_of_vector, n_classes);
    mean.resize(p.size(), 0.0);
    for (std::size_t i = 0; i < p.size(); ++i) mean[i] += part.weight * p[i];
  }
  return mean;
}

std::vector<WeightedScores> random_parts(std::uint64_t seed, Index m, std::int32_t n_states,
                                         Index k) {
  return {{0.5, random_table(seed, m, n_states, k, Link::softmax)},
          {0.2, random_table(seed + 1, m, n_states, k, Link::share)},
          {0.3, random_table(seed + 2, m, n_states, k, Link::softmax)}};
}

TEST_CASE("a mixture equals its twin, at the same bits by every way to them") {
  for (const Index k : {1, 2, 3, 8, 9, 20}) {
    CAPTURE(k);
    const Index n = 3000, m = 3;
    const auto classes = static_cast<std::int32_t>(k);
    const Labels labels = random_labels(static_cast<std::uint64_t>(k), n, m, {classes}, 0.4);
    const std::vector<std::int32_t> states = states_of_one_task(labels);
    const StateCoding coding = StateCoding::of_one_task(classes);
    const std::vector<WeightedScores> parts = random_parts(100, m, classes + 1, k);
    std::vector<std::int32_t> of_half(static_cast<std::size_t>(k));
    for (std::size_t y = 0; y < of_half.size(); ++y) of_half[y] = y % 2 == 0 ? 0 : 1;
    const auto expected = plain_mixture(states, m, classes + 1, parts, one_class_each(k),
                                        static_cast<std::size_t>(k));
    const auto expected_halves = plain_mixture(states, m, classes + 1, parts, of_half, 2);
    std::vector<std::int64_t> expected_best;
    for (Index i = 0; i < n; ++i) {
      const auto row = expected.begin() + i * k;
      expected_best.push_back(std::max_element(row, row + k) - row);
    }
    const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
    std::vector<double> first;
    for (const VoteView& votes : {dense.view, sparse.view}) {
      const StateReader reader(votes, coding);
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        for (const RowStrategy strategy : kEveryStrategy) {
          if (strategy == RowStrategy::possible_rows && k > 9) continue;  // a large table
          for (const int n_threads : {1, 3}) {
            std::vector<double> p(static_cast<std::size_t>(n * k)),
                halves(static_cast<std::size_t>(2 * n));
            std::vector<std::int64_t> best(static_cast<std::size_t>(n), -1);
            posterior(reader, parts,
                      {{one_class_each(k), k, p.data()}, {of_half, 2, halves.data()}},
                      {n_threads, {}}, strategy);
            most_probable(reader, parts, one_class_each(k), best.data(), {n_threads, {}}, strategy);
            CHECK(largest_difference(p, expected) < kTolerance);
            CHECK(largest_difference(halves, expected_halves) < kTolerance);
            CHECK(best == expected_best);
            if (first.empty()) first = p;
            CHECK(same_bits(p, first));
          }
        }
      }
    }
  }
}

TEST_CASE("mean posteriors within 1e-9 of the highest tie, beyond they do not") {
  const Labels labels = random_labels(83, 1, 1, {2}, 0.0);
  const StateCoding coding = StateCoding::of_one_task(2);
  const HeldVotes votes = dense_votes(labels);
  const auto best = [&](double second) {
    const std::vector<double> nothing(6, 0.0);
    const std::vector<WeightedScores> parts{
        {0.5, {2, {1, 3}, nothing, Link::share}},
        {0.5, {2, {3 - second, 1 + second}, nothing, Link::share}}};
    std::int64_t found = -1;
    most_probable(StateReader(votes.view, coding), parts, {0, 1}, &found, {});
    return found;
  };
  // The means are 0.5 -+ second / 8: twice that apart.
  CHECK(best(2e-9) == 0);
  CHECK(best(8e-9) == 1);
}

TEST_CASE("weights that do not sum to 1, and tables over other vectors, are refused") {
  const Labels labels = random_labels(84, 5, 2, {2});
  const StateCoding coding = StateCoding::of_one_task(2);
  const HeldVotes votes = dense_votes(labels);
  const ScoreTable table = random_table(85, 2, 3, 2, Link::softmax);
  std::vector<std::int64_t> best(5);
  for (const std::vector<double>& weights :
       {std::vector<double>{0.5}, {0.5, 0.6}, {1.5, -0.5}, {1.0, NAN}, {INFINITY}}) {
    std::vector<WeightedScores> parts;
    for (const double weight : weights) parts.push_back({weight, table});
    CHECK_THROWS_AS(most_probable(StateReader(votes.view, coding), parts, {0, 1}, best.data(), {}),
                    std::invalid_argument);
  }
  const std::vector<WeightedScores> parts{{0.5, table},
                                          {0.5, random_table(86, 2, 3, 3, Link::softmax)}};
  CHECK_THROWS_AS(most_probable(StateReader(votes.view, coding), parts, {0, 1}, best.data(), {}),
                  std::invalid_argument);
}

}  // namespace
}  // namespace consilience::test
