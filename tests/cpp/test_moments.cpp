#include "consilience/moments.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "consilience/errors.hpp"
#include "listed_counts.hpp"
#include "nodes.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

const Relations kByDifference{true, {}};
const int kThreadCounts[] = {1, 2, 3};
const MomentsKernel kEveryKernel[] = {MomentsKernel::automatic, MomentsKernel::bit_planes,
                                      MomentsKernel::row_lists};

bool same_bits(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  return a == b;
}
bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

template <class Sum>
bool same_moments(const Moments<Sum>& a, const Moments<Sum>& b) {
  return a.node_source == b.node_source && a.node_state == b.node_state &&
         same_bits(a.pairs, b.pairs) && same_bits(a.triples, b.triples) &&
         same_bits(a.votes, b.votes) && same_bits(a.overlaps, b.overlaps) &&
         same_bits(a.conflicts, b.conflicts) &&
         same_bits(std::vector<Sum>{a.n_covered}, std::vector<Sum>{b.n_covered});
}

/// All triples of sources of different components that vote alike, item by item; for each (source,
/// state) the triples it is in. Empty without components.
template <class Sum>
std::vector<Sum> plain_triples(const std::vector<std::int32_t>& states, Index m,
                               std::int32_t n_states, const Relations& relations,
                               const std::vector<Sum>& weights) {
  const auto n_sources = static_cast<std::size_t>(m);
  const auto k = static_cast<std::size_t>(n_states);
  const std::vector<std::int32_t>& component = relations.component_of;
  std::vector<Sum> triples(component.empty() ? 0 : n_sources * k, 0);
  for (std::size_t i = 0; i < weights.size() && !component.empty(); ++i) {
    const std::int32_t* row = states.data() + i * n_sources;
    std::vector<std::int64_t> of_source(n_sources, 0);
    for (std::size_t a = 0; a < n_sources; ++a) {
      for (std::size_t b = a + 1; b < n_sources; ++b) {
        if (row[a] == 0 || row[b] != row[a] || component[b] == component[a]) continue;
        for (std::size_t c = b + 1; c < n_sources; ++c) {
          if (row[c] != row[a] || component[c] == component[a] || component[c] == component[b]) {
            continue;
          }
          ++of_source[a];
          ++of_source[b];
          ++of_source[c];
        }
      }
    }
    for (std::size_t a = 0; a < n_sources; ++a) {
      triples[a * k + static_cast<std::size_t>(row[a])] +=
          static_cast<Sum>(of_source[a]) * weights[i];
    }
  }
  return triples;
}

/// The slow, obvious twin: one item after another, all pairs of sources.
template <class Sum>
Moments<Sum> plain_moments(const std::vector<std::int32_t>& states, Index m, std::int32_t n_states,
                           const Relations& relations, const std::vector<Sum>& weights) {
  const auto n_sources = static_cast<std::size_t>(m);
  const auto k = static_cast<std::size_t>(n_states);
  const std::size_t all = n_sources * k;
  const auto disagree = [&](std::int32_t s, std::int32_t t) {
    return relations.conflict_by_difference ? s != t
                                            : relations.disjoint[static_cast<std::size_t>(s) * k +
                                                                 static_cast<std::size_t>(t)] != 0;
  };
  std::vector<Sum> pairs(all * all, 0);
  Moments<Sum> moments;
  moments.votes.assign(n_sources, 0);
  moments.overlaps.assign(n_sources, 0);
  moments.conflicts.assign(n_sources, 0);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::int32_t* row = states.data() + i * n_sources;
    bool covered = false;
    for (std::size_t a = 0; a < n_sources; ++a) {
      if (row[a] == 0) continue;
      covered = true;
      bool overlaps = false, contradicted = false;
      for (std::size_t b = 0; b < n_sources; ++b) {
        if (row[b] == 0) continue;
        pairs[(a * k + static_cast<std::size_t>(row[a])) * all + b * k +
              static_cast<std::size_t>(row[b])] += weights[i];
        if (a == b) continue;
        overlaps = true;
        contradicted = contradicted || disagree(row[a], row[b]);
      }
      if (overlaps) moments.overlaps[a] += weights[i];
      if (contradicted) moments.conflicts[a] += weights[i];
    }
    if (covered) moments.n_covered += weights[i];
  }
  const std::vector<Sum> triples = plain_triples(states, m, n_states, relations, weights);
  std::vector<std::size_t> live;
  for (std::size_t a = 0; a < all; ++a) {
    if (pairs[a * all + a] == 0) continue;
    live.push_back(a);
    if (!triples.empty()) moments.triples.push_back(triples[a]);
    moments.votes[a / k] += pairs[a * all + a];
    moments.node_source.push_back(static_cast<std::int32_t>(a / k));
    moments.node_state.push_back(static_cast<std::int32_t>(a % k));
  }
  for (const std::size_t a : live) {
    for (const std::size_t b : live) moments.pairs.push_back(pairs[a * all + b]);
  }
  return moments;
}

Moments<std::int64_t> plain_moments(const std::vector<std::int32_t>& states, Index m,
                                    std::int32_t n_states, const Relations& relations) {
  const std::vector<std::int64_t> ones(states.size() / static_cast<std::size_t>(m), 1);
  return plain_moments(states, m, n_states, relations, ones);
}

/// Which of the states of several tasks exclude each other; symmetric, none excludes itself.
Relations random_conflicts(std::uint64_t seed, std::int32_t n_states) {
  Random random(seed);
  const auto k = static_cast<std::size_t>(n_states);
  Relations relations{false, std::vector<std::uint8_t>(k * k, 0)};
  for (std::size_t s = 1; s < k; ++s) {
    for (std::size_t t = s + 1; t < k; ++t) {
      relations.disjoint[s * k + t] = relations.disjoint[t * k + s] =
          static_cast<std::uint8_t>(random.below(2));
    }
  }
  return relations;
}

/// The same relations with sources in components: of one each, or drawn from a few.
Relations with_components(Relations relations, Index m, Index n_components, std::uint64_t seed) {
  Random random(seed);
  for (Index j = 0; j < m; ++j) {
    const Index component =
        n_components >= m
            ? j
            : static_cast<Index>(random.below(static_cast<std::uint64_t>(n_components)));
    relations.component_of.push_back(static_cast<std::int32_t>(component));
  }
  return relations;
}

// --- items that count once ----------------------------------------------------------------------

TEST_CASE("both kernels equal the twin by every instruction set, at every odd number of items") {
  for (const Index n : {1, 15, 16, 17, 63, 64, 65, 4095, 4096, 4097, 8193}) {
    CAPTURE(n);
    const Labels labels = random_labels(static_cast<std::uint64_t>(n), n, 5, {3});
    const StateCoding coding = StateCoding::of_one_task(3);
    const HeldVotes votes = dense_votes(labels);
    const StateReader reader(votes.view, coding);
    const auto expected = plain_moments(states_of_one_task(labels), 5, 4, kByDifference);
    for (const std::string& level : simd_levels()) {
      CAPTURE(level);
      const WithSimdLevel with(level);
      for (const MomentsKernel kernel : kEveryKernel) {
        for (const int n_threads : kThreadCounts) {
          CAPTURE(n_threads);
          CHECK(same_moments(count_moments(reader, kByDifference, kernel, {n_threads, {}}),
                             expected));
        }
      }
    }
  }
}

TEST_CASE("both kernels equal the twin at every odd number of sources and classes") {
  for (const Index m : {1, 2, 15, 16, 17, 33}) {
    for (const std::int32_t k : {1, 2, 7, 19}) {
      CAPTURE(m);
      CAPTURE(k);
      const Labels labels = random_labels(static_cast<std::uint64_t>(100 * m + k), 321, m, {k});
      const StateCoding coding = StateCoding::of_one_task(k);
      const HeldVotes votes = dense_votes(labels);
      const StateReader reader(votes.view, coding);
      const auto expected = plain_moments(states_of_one_task(labels), m, k + 1, kByDifference);
      for (const MomentsKernel kernel : kEveryKernel) {
        CHECK(same_moments(count_moments(reader, kByDifference, kernel, {2, {}}), expected));
      }
    }
  }
}

TEST_CASE("every element type, layout and CSR form of a table has the same moments") {
  const Labels labels = random_labels(31, 5000, 4, {3}, 0.5);
  const StateCoding coding = StateCoding::of_one_task(3);
  const auto expected = plain_moments(states_of_one_task(labels), 4, 4, kByDifference);
  std::vector<HeldVotes> forms;
  for (const Layout& layout : every_layout(5000, 4)) {
    forms.push_back(dense_votes(labels, IntType::i8, layout));
    forms.push_back(dense_votes(labels, IntType::i32, layout));
  }
  for (const IntType index_type : {IntType::i32, IntType::i64}) {
    for (const Zeros zeros : {Zeros::absent, Zeros::every_other_one_stored}) {
      forms.push_back(sparse_votes(labels, index_type, IntType::i8, zeros));
    }
  }
  for (std::size_t i = 0; i < forms.size(); ++i) {
    CAPTURE(i);
    const StateReader reader(forms[i].view, coding);
    for (const MomentsKernel kernel : kEveryKernel) {
      CHECK(same_moments(count_moments(reader, kByDifference, kernel, {2, {}}), expected));
    }
  }
}

TEST_CASE("moments of several tasks equal the twin, with conflicts by disjoint events") {
  const std::vector<std::vector<std::int32_t>> cardinalities = {
      {2, 3, 4}, {200, 200, 100} /* more than a direct table holds */};
  for (const std::vector<std::int32_t>& of_tasks : cardinalities) {
    const Labels labels = random_labels(32, 9000, 6, of_tasks, 0.4);
    const CodedStates coded = code_several_tasks(labels, 9);
    const Relations relations = random_conflicts(33, 9);
    const auto expected = plain_moments(coded.states, 6, 9, relations);
    const HeldVotes dense = dense_votes(labels, IntType::i16),
                    sparse = sparse_votes(labels, IntType::i32, IntType::i16);
    for (const VoteView& votes : {dense.view, sparse.view}) {
      const StateReader reader(votes, coded.coding);
      for (const MomentsKernel kernel : kEveryKernel) {
        for (const int n_threads : kThreadCounts) {
          CHECK(same_moments(count_moments(reader, relations, kernel, {n_threads, {}}), expected));
        }
      }
    }
  }
}

TEST_CASE("conflicts by difference are conflicts by events that are all disjoint") {
  const Labels labels = random_labels(34, 3000, 5, {4}, 0.5);
  const StateCoding coding = StateCoding::of_one_task(4);
  const HeldVotes votes = dense_votes(labels);
  const StateReader reader(votes.view, coding);
  Relations disjoint{false, std::vector<std::uint8_t>(25, 1)};
  for (std::size_t s = 0; s < 5; ++s) disjoint.disjoint[s * 6] = 0;
  for (const MomentsKernel kernel : kEveryKernel) {
    CHECK(same_moments(count_moments(reader, disjoint, kernel, {}),
                       count_moments(reader, kByDifference, kernel, {})));
  }
}

TEST_CASE("moments of sources read together are those of their components") {
  const Labels labels = random_labels(43, 5000, 7, {3}, 0.5);
  const CodedStates together =
      read_together(StateCoding::of_one_task(3), states_of_one_task(labels), 7);
  const Relations relations = random_conflicts(44, together.coding.n_states());
  const auto expected = plain_moments(together.states, 5, together.coding.n_states(), relations);
  const std::vector<double> halves(5000, 0.5);
  const auto half_expected =
      plain_moments(together.states, 5, together.coding.n_states(), relations, halves);
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    const StateReader reader(votes, together.coding);
    for (const int n_threads : kThreadCounts) {
      for (const MomentsKernel kernel : kEveryKernel) {
        CHECK(same_moments(count_moments(reader, relations, kernel, {n_threads, {}}), expected));
      }
      CHECK(same_moments(count_moments(reader, relations, halves.data(), {n_threads, {}}),
                         half_expected));
    }
  }
}

TEST_CASE("255 classes fit bit planes, 256 are counted by row lists alone") {
  for (const std::int32_t k : {255, 256, 300}) {
    CAPTURE(k);
    const Labels labels = random_labels(35, 5000, 3, {k}, 0.8);
    const StateCoding coding = StateCoding::of_one_task(k);
    const HeldVotes votes = dense_votes(labels, IntType::i16);
    const StateReader reader(votes.view, coding);
    const auto expected = plain_moments(states_of_one_task(labels), 3, k + 1, kByDifference);
    CHECK(same_moments(count_moments(reader, kByDifference, MomentsKernel::row_lists, {2, {}}),
                       expected));
    CHECK(same_moments(count_moments(reader, kByDifference, MomentsKernel::automatic, {2, {}}),
                       expected));
    if (k == 255) {
      CHECK(same_moments(count_moments(reader, kByDifference, MomentsKernel::bit_planes, {2, {}}),
                         expected));
    } else {
      CHECK_THROWS_AS(count_moments(reader, kByDifference, MomentsKernel::bit_planes, {}),
                      std::invalid_argument);
      CHECK(choose_kernel(reader) == MomentsKernel::row_lists);
    }
  }
}

TEST_CASE("cells that are emptied after every few rows have the same counts") {
  const Labels labels = random_labels(45, 1300, 12, {3}, 0.5);
  const StateCoding coding = StateCoding::of_one_task(3);
  const Relations relations = with_components(kByDifference, 12, 8, 45);
  const Partition partition(relations, 12);
  const auto expected = plain_moments(states_of_one_task(labels), 12, 4, relations);
  const HeldVotes votes = dense_votes(labels);
  const StateReader reader(votes.view, coding);
  const Nodes nodes(std::vector<std::uint8_t>(48, 1), 12, 4);
  for (const std::int64_t max_rows : {1, 7, 512, 1300, 5000}) {
    std::vector<ListedCounts> parts;
    for (int part = 0; part < 2; ++part) {
      parts.emplace_back(nodes, relations, partition, reader, max_rows);
    }
    StateRows rows;
    for (Index begin = 0; begin < 1300; begin += 100) {
      reader.read(begin, 100, rows);
      parts[begin < 900 ? 0 : 1].count(rows);
    }
    CHECK(same_moments(ListedCounts::sum(parts, {}), expected));
  }
}

TEST_CASE("of many indicators only those that occur are counted") {
  // 40 sources of 60 classes, of which each votes for three at most.
  Labels labels = random_labels(36, 700, 40, {60}, 0.3);
  for (Index i = 0; i < labels.n_items; ++i) {
    for (Index j = 0; j < labels.n_sources; ++j) {
      std::int64_t& label = labels.at(0, i, j);
      if (label != -1) label = (label % 3) * (1 + j % 20);
    }
  }
  const StateCoding coding = StateCoding::of_one_task(60);
  const auto expected = plain_moments(states_of_one_task(labels), 40, 61, kByDifference);
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    const StateReader reader(votes, coding);
    for (const MomentsKernel kernel : kEveryKernel) {
      for (const int n_threads : kThreadCounts) {
        CHECK(
            same_moments(count_moments(reader, kByDifference, kernel, {n_threads, {}}), expected));
      }
    }
  }
}

TEST_CASE("many sources, whose blocks are short, have the moments of the twin") {
  const Labels labels = random_labels(37, 900, 300, {2}, 0.1);
  const StateCoding coding = StateCoding::of_one_task(2);
  const auto expected = plain_moments(states_of_one_task(labels), 300, 3, kByDifference);
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    const StateReader reader(votes, coding);
    for (const MomentsKernel kernel : kEveryKernel) {
      CHECK(same_moments(count_moments(reader, kByDifference, kernel, {3, {}}), expected));
    }
  }
}

TEST_CASE("more indicators than a table of pairs holds are refused") {
  Labels labels = random_labels(38, 6000, 2, {6000}, 1.0);
  for (Index i = 0; i < 6000; ++i) labels.at(0, i, 0) = labels.at(0, i, 1) = i;
  const StateCoding coding = StateCoding::of_one_task(6000);
  const HeldVotes votes = dense_votes(labels, IntType::i32);
  const StateReader reader(votes.view, coding);
  CHECK_THROWS_AS(count_moments(reader, kByDifference, MomentsKernel::automatic, {}),
                  std::invalid_argument);
}

TEST_CASE("no items and no votes have moments without indicators") {
  const StateCoding coding = StateCoding::of_one_task(2);
  for (const Labels& labels : {random_labels(39, 0, 3, {2}), random_labels(40, 70, 3, {2}, 0.0)}) {
    const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
    for (const VoteView& votes : {dense.view, sparse.view}) {
      const StateReader reader(votes, coding);
      for (const MomentsKernel kernel : kEveryKernel) {
        const Moments<std::int64_t> moments = count_moments(reader, kByDifference, kernel, {3, {}});
        CHECK(moments.pairs.empty());
        CHECK(moments.votes == std::vector<std::int64_t>(3, 0));
        CHECK(moments.n_covered == 0);
      }
    }
  }
}

TEST_CASE("marginals are the diagonal of the moments, for any number of threads") {
  const Labels labels = random_labels(31, 5000, 9, {3}, 0.4);
  const HeldVotes held = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(3);
  const StateReader reader(held.view, coding);
  std::vector<double> weights(5000);
  Random random(32);
  for (double& weight : weights) weight = random.uniform(0, 2);
  for (const Relations& relations : {kByDifference, random_conflicts(33, 4)}) {
    const auto check = [&](const auto& found, const auto& expected) {
      CHECK(same_bits(found.overlaps, expected.overlaps));
      CHECK(same_bits(found.conflicts, expected.conflicts));
      CHECK(found.n_covered == expected.n_covered);
      const std::size_t d = expected.node_source.size();
      for (std::size_t a = 0; a < d; ++a) {
        const auto cell =
            static_cast<std::size_t>(expected.node_source[a] * 4 + expected.node_state[a]);
        CHECK(found.counts[cell] == expected.pairs[a * d + a]);
      }
    };
    const auto counted = count_moments(reader, relations, MomentsKernel::row_lists, {1, {}});
    const auto weighed = count_moments(reader, relations, weights.data(), {1, {}});
    for (const int n_threads : kThreadCounts) {
      const std::int64_t* none = nullptr;
      check(count_marginals(reader, relations, none, {n_threads, {}}), counted);
      check(count_marginals(reader, relations, weights.data(), {n_threads, {}}), weighed);
    }
  }
}

TEST_CASE("the cost model takes bit planes for dense votes and row lists for sparse ones") {
  const StateCoding coding = StateCoding::of_one_task(2);
  const HeldVotes dense = dense_votes(random_labels(41, 10000, 10, {2}, 0.9));
  CHECK(choose_kernel(StateReader(dense.view, coding)) == MomentsKernel::bit_planes);
  const HeldVotes sparse = sparse_votes(random_labels(42, 2000, 500, {2}, 0.01));
  CHECK(choose_kernel(StateReader(sparse.view, coding)) == MomentsKernel::row_lists);
}

// --- weighted items -----------------------------------------------------------------------------

TEST_CASE("whole-numbered weights count an item as often as it weighs") {
  const Labels labels = random_labels(51, 9000, 5, {3}, 0.5);
  const StateCoding coding = StateCoding::of_one_task(3);
  Random random(52);
  std::vector<std::int64_t> weights(9000);
  for (std::int64_t& weight : weights) weight = random.below(1'000'000'000);
  const auto expected = plain_moments(states_of_one_task(labels), 5, 4, kByDifference, weights);
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    const StateReader reader(votes, coding);
    for (const int n_threads : kThreadCounts) {
      CHECK(same_moments(count_moments(reader, kByDifference, weights.data(), {n_threads, {}}),
                         expected));
    }
  }
}

TEST_CASE("weights of 1 give the moments of items that count once") {
  const Labels labels = random_labels(53, 5000, 5, {3}, 0.5);
  const StateCoding coding = StateCoding::of_one_task(3);
  const HeldVotes votes = dense_votes(labels);
  const StateReader reader(votes.view, coding);
  const std::vector<std::int64_t> ones(5000, 1);
  CHECK(same_moments(count_moments(reader, kByDifference, ones.data(), {}),
                     count_moments(reader, kByDifference, MomentsKernel::bit_planes, {})));
}

TEST_CASE("floating weights are added in the order of the items, for any number of threads") {
  const Labels labels = random_labels(54, 9000, 5, {2, 3}, 0.4);
  const CodedStates coded = code_several_tasks(labels, 6);
  const Relations relations = random_conflicts(55, 6);
  Random random(56);
  std::vector<double> weights(9000);
  for (double& weight : weights) weight = std::exp(random.uniform(-20, 20));
  const auto expected = plain_moments(coded.states, 5, 6, relations, weights);
  const HeldVotes dense = dense_votes(labels),
                  by_source = dense_votes(labels, IntType::i64, {"Fortran order", 1, 9000}),
                  sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, by_source.view, sparse.view}) {
    const StateReader reader(votes, coded.coding);
    for (const int n_threads : {1, 2, 3, 7}) {
      CAPTURE(n_threads);
      CHECK(same_moments(count_moments(reader, relations, weights.data(), {n_threads, {}}),
                         expected));
    }
  }
}

TEST_CASE("items without weight leave no trace") {
  Labels labels = random_labels(57, 500, 3, {3}, 0.5);
  std::vector<double> weights(500, 0.25);
  for (Index i = 0; i < 500; ++i) {
    if (i % 3 == 0) {
      weights[static_cast<std::size_t>(i)] = 0;
    } else if (labels.at(0, i, 1) == 2) {
      labels.at(0, i, 1) = -1;  // source 1 says 2 on items without weight only
    }
  }
  const StateCoding coding = StateCoding::of_one_task(3);
  const HeldVotes votes = dense_votes(labels);
  const Moments<double> moments =
      count_moments(StateReader(votes.view, coding), kByDifference, weights.data(), {2, {}});
  CHECK(same_moments(moments,
                     plain_moments(states_of_one_task(labels), 3, 4, kByDifference, weights)));
  CHECK(moments.node_source.size() == 8);
}

// --- bad labels ---------------------------------------------------------------------------------

TEST_CASE("moments report the first label out of range, for any kernel and number of threads") {
  Labels labels = random_labels(58, 30000, 4, {3});
  labels.at(0, 9000, 2) = 3;
  labels.at(0, 9001, 0) = -5;
  labels.at(0, 25000, 0) = 7;
  const StateCoding coding = StateCoding::of_one_task(3);
  const std::vector<double> floats(30000, 1.0);
  const std::vector<std::int64_t> integers(30000, 1);
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    const StateReader reader(votes, coding);
    const auto row_of = [&](const auto& how, int n_threads) {
      try {
        if constexpr (std::is_same_v<std::decay_t<decltype(how)>, MomentsKernel>) {
          count_moments(reader, kByDifference, how, {n_threads, {}});
        } else {
          count_moments(reader, kByDifference, how.data(), {n_threads, {}});
        }
      } catch (const LabelOutOfRange& error) {
        return error.row;
      }
      return Index{-1};
    };
    for (const int n_threads : kThreadCounts) {
      CHECK(row_of(MomentsKernel::bit_planes, n_threads) == 9000);
      CHECK(row_of(MomentsKernel::row_lists, n_threads) == 9000);
      CHECK(row_of(MomentsKernel::automatic, n_threads) == 9000);
      CHECK(row_of(integers, n_threads) == 9000);
      CHECK(row_of(floats, n_threads) == 9000);
    }
  }
}

}  // namespace
// --- triples ------------------------------------------------------------------------------------

TEST_CASE("triples of different components equal the twin for every kernel, layout and weight") {
  std::uint64_t seed = 0;
  for (const Index m : {1, 2, 3, 4, 7, 8, 16, 21}) {
    for (const Index n_components : {m, (m + 1) / 2, Index{3}, Index{1}}) {
      if (n_components > m) continue;
      for (const std::int32_t k : {1, 2, 5}) {
        CAPTURE(m);
        CAPTURE(n_components);
        CAPTURE(k);
        const Index n = m > 8 ? 70 : 300;
        const Labels labels = random_labels(++seed, n, m, {k});
        const StateCoding coding = StateCoding::of_one_task(k);
        const Relations relations = with_components(kByDifference, m, n_components, seed);
        const std::vector<std::int32_t> states = states_of_one_task(labels);
        Random random(seed);
        std::vector<std::int64_t> counts;
        std::vector<double> weights;
        for (Index i = 0; i < n; ++i) {
          counts.push_back(static_cast<std::int64_t>(random.below(4)));
          weights.push_back(static_cast<double>(random.below(1000)) / 7);
        }
        for (const HeldVotes& votes : {dense_votes(labels), sparse_votes(labels)}) {
          const StateReader reader(votes.view, coding);
          const auto expected = plain_moments(states, m, k + 1, relations);
          for (const MomentsKernel kernel : kEveryKernel) {
            CHECK(same_moments(count_moments(reader, relations, kernel, {2, {}}), expected));
          }
          CHECK(same_moments(count_moments(reader, relations, counts.data(), {3, {}}),
                             plain_moments(states, m, k + 1, relations, counts)));
          CHECK(same_moments(count_moments(reader, relations, weights.data(), {3, {}}),
                             plain_moments(states, m, k + 1, relations, weights)));
        }
      }
    }
  }
}

TEST_CASE("triples of full rows are counted beyond 32 bits' worth of votes") {
  const Index n = 5000, m = 70;
  Labels labels = random_labels(1, n, m, {2});
  for (std::int64_t& label : labels.tables[0]) label = 1;
  const StateCoding coding = StateCoding::of_one_task(2);
  const HeldVotes votes = dense_votes(labels);
  const StateReader reader(votes.view, coding);
  const Relations relations = with_components(kByDifference, m, m, 0);
  for (const MomentsKernel kernel : kEveryKernel) {
    const auto moments = count_moments(reader, relations, kernel, {2, {}});
    REQUIRE(moments.triples.size() == static_cast<std::size_t>(m));
    for (const std::int64_t count : moments.triples) CHECK(count == n * (m - 1) * (m - 2) / 2);
  }
}

}  // namespace consilience::test
