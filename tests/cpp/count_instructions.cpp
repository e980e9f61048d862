// Runs one kernel on fixed votes a number of times; tests/instructions.py counts what that takes.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "consilience/expectation.hpp"
#include "consilience/moments.hpp"
#include "consilience/patterns.hpp"
#include "consilience/posterior.hpp"
#include "consilience/simd.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

constexpr Index kRows = 20000;

ScoreTable scores(Index m, std::int32_t n_states, Index k) {
  Random random(1);
  ScoreTable table{k, std::vector<double>(static_cast<std::size_t>(k), 0.0), {}, Link::softmax};
  for (Index i = 0; i < m * n_states * k; ++i) table.of_state.push_back(random.uniform(-2, 2));
  return table;
}

/// Calls `kernel` with votes of m sources of k classes that abstain on 70 % of the items.
void with_votes(Index m, std::int32_t k, const std::function<void(const StateReader&)>& kernel) {
  const Labels labels = random_labels(7, kRows, m, {k}, 0.3);
  const HeldVotes votes = dense_votes(labels);
  const StateCoding coding = StateCoding::of_one_task(k);
  kernel(StateReader(votes.view, coding));
}

void answer(const StateReader& reader, const ScoreTable& table, int times) {
  const auto k = static_cast<std::int32_t>(table.n_vectors);
  std::vector<std::int32_t> classes;
  for (std::int32_t y = 0; y < k; ++y) classes.push_back(y);
  std::vector<double> p(static_cast<std::size_t>(kRows * k));
  for (int i = 0; i < times; ++i) {
    posterior(reader, {{1.0, table}}, {{classes, k, p.data()}}, {});
  }
}

void expect_rows(const StateReader& reader, const ScoreTable& table, int times) {
  const Patterns patterns = find_patterns(reader, nullptr, {});
  for (int i = 0; i < times; ++i) expect(patterns, table, {}, {});
}

void expect_all(const StateReader& reader, const ScoreTable& table, int times) {
  for (int i = 0; i < times; ++i) expect_items(reader, nullptr, table, {});
}

/// By name, each on `kRows` items.
const std::map<std::string, std::function<void(int)>> kKernels{
    {"moments, 50 sources of 2 classes",
     [](int times) {
       with_votes(50, 2, [&](const StateReader& reader) {
         for (int i = 0; i < times; ++i) {
           count_moments(reader, {true, {}}, MomentsKernel::automatic, {});
         }
       });
     }},
    {"vote vectors and moments, 12 sources of 3 tasks",
     [](int times) {
       const Labels labels = random_labels(7, kRows, 12, {2, 3, 3}, 0.3);
       const HeldVotes votes = dense_votes(labels);
       for (int i = 0; i < times; ++i) {
         const VoteVectors found = vote_vectors(votes.view, {});
         const std::vector<std::int32_t> states(found.keys.size(), 1);
         const StateCoding coding(found.keys, states, 48, 2);
         count_moments(StateReader(votes.view, coding), {true, {}}, MomentsKernel::automatic, {});
       }
     }},
    {"patterns, 8 sources of 2 classes",
     [](int times) {
       with_votes(8, 2, [&](const StateReader& reader) {
         for (int i = 0; i < times; ++i) find_patterns(reader, nullptr, {});
       });
     }},
    {"patterns, 20 sources of 2 classes",
     [](int times) {
       with_votes(20, 2, [&](const StateReader& reader) {
         for (int i = 0; i < times; ++i) find_patterns(reader, nullptr, {});
       });
     }},
    {"posterior, 20 sources of 2 classes",
     [](int times) {
       with_votes(20, 2,
                  [&](const StateReader& reader) { answer(reader, scores(20, 3, 2), times); });
     }},
    {"posterior, 20 sources of 20 classes",
     [](int times) {
       with_votes(20, 20,
                  [&](const StateReader& reader) { answer(reader, scores(20, 21, 20), times); });
     }},
    {"expectation, 20 sources of 2 classes",
     [](int times) {
       with_votes(20, 2,
                  [&](const StateReader& reader) { expect_rows(reader, scores(20, 3, 2), times); });
     }},
    {"expectation, 20 sources of 20 classes",
     [](int times) {
       with_votes(20, 20, [&](const StateReader& reader) {
         expect_rows(reader, scores(20, 21, 20), times);
       });
     }},
    {"expectation of items, 20 sources of 2 classes",
     [](int times) {
       with_votes(20, 2,
                  [&](const StateReader& reader) { expect_all(reader, scores(20, 3, 2), times); });
     }},
    {"expectation of items, 20 sources of 20 classes",
     [](int times) {
       with_votes(20, 20, [&](const StateReader& reader) {
         expect_all(reader, scores(20, 21, 20), times);
       });
     }},
};

}  // namespace
}  // namespace consilience::test

/// Without arguments prints the names of the kernels and the number of rows; with a name and a
/// number runs that kernel so many times.
int main(int argc, char** argv) {
  using namespace consilience;
  using namespace consilience::test;
  if (argc == 1) {
    std::printf("%lld\n", static_cast<long long>(kRows));
    for (const auto& [name, run] : kKernels) std::printf("%s\n", name.c_str());
    return 0;
  }
  const auto kernel = kKernels.find(argv[1]);
  if (argc != 3 || kernel == kKernels.end() || !select_simd_level("baseline")) return 2;
  kernel->second(std::atoi(argv[2]));
  return 0;
}
