// Small on purpose: these tests run under the thread sanitizer too.
#include "consilience/parallel.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "consilience/moments.hpp"
#include "consilience/posterior.hpp"
#include "consilience/states.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

using std::chrono::milliseconds;

TEST_CASE("every chunk is done once, by a worker that exists") {
  for (const int n_threads : {1, 2, 3, 8}) {
    for (const Index n_chunks : {0, 1, 2, 7, 500}) {
      CAPTURE(n_threads);
      CAPTURE(n_chunks);
      const Execution execution{n_threads, {}};
      std::vector<int> times(static_cast<std::size_t>(n_chunks), 0);
      std::atomic<bool> workers_exist{true};
      for_each_chunk(n_chunks, execution, [&](Index chunk, int worker) {
        ++times[static_cast<std::size_t>(chunk)];
        if (worker < 0 || worker >= n_workers(n_chunks, execution)) workers_exist = false;
      });
      CHECK(times == std::vector<int>(static_cast<std::size_t>(n_chunks), 1));
      CHECK(workers_exist);
    }
  }
}

TEST_CASE("there is at least one worker, and at most one for each chunk and thread") {
  CHECK(n_workers(0, {4, {}}) == 1);
  CHECK(n_workers(2, {4, {}}) == 2);
  CHECK(n_workers(100, {4, {}}) == 4);
  CHECK(n_workers(100, {0, {}}) == 1);
  CHECK(n_workers(100, {-3, {}}) == 1);
}

TEST_CASE("workers write to places of their own without a race") {
  std::vector<std::int64_t> of_worker(3, 0);
  for_each_chunk(300, {3, {}}, [&](Index chunk, int worker) {
    of_worker[static_cast<std::size_t>(worker)] += chunk;
  });
  CHECK(of_worker[0] + of_worker[1] + of_worker[2] == 300 * 299 / 2);
}

TEST_CASE("the calling thread works and polls, the others do not poll") {
  const std::thread::id caller = std::this_thread::get_id();
  int n_polls = 0;
  bool only_here = true;
  std::atomic<int> n_bodies_here{0};
  const Execution execution{3, [&] {
                              ++n_polls;
                              only_here = only_here && std::this_thread::get_id() == caller;
                            }};
  for_each_chunk(60, execution, [&](Index, int worker) {
    if (worker == 0) ++n_bodies_here;
    std::this_thread::sleep_for(milliseconds(1));
  });
  CHECK(only_here);
  CHECK(n_polls >= 1);
  CHECK(n_polls == n_bodies_here);
}

TEST_CASE("a poll that throws ends the call, and no thread outlives it") {
  for (const int n_threads : {1, 2, 3}) {
    CAPTURE(n_threads);
    std::atomic<int> n_done{0}, n_running{0};
    const Execution execution{n_threads, [] { throw std::runtime_error("interrupted"); }};
    const auto call = [&] {
      for_each_chunk(5000, execution, [&](Index, int) {
        ++n_running;
        std::this_thread::sleep_for(milliseconds(1));
        ++n_done;
        --n_running;
      });
    };
    CHECK_THROWS_WITH_AS(call(), "interrupted", std::runtime_error);
    CHECK(n_running == 0);
    CHECK(n_done < 1000);
  }
}

TEST_CASE("the exception of the lowest chunk is thrown, for any number of threads") {
  for (const int n_threads : {1, 2, 3, 8}) {
    for (const Index n_chunks : {100, 10000}) {  // in the second, workers take runs of them
      const Index first = n_chunks / 6 + 1;
      for (int repetition = 0; repetition < 20; ++repetition) {
        const auto call = [&] {
          for_each_chunk(n_chunks, {n_threads, {}}, [&](Index chunk, int) {
            if (chunk == first) std::this_thread::sleep_for(milliseconds(1));  // later than others
            if (chunk >= first) throw std::runtime_error(std::to_string(chunk));
          });
        };
        CHECK_THROWS_WITH_AS(call(), std::to_string(first).c_str(), std::runtime_error);
      }
    }
  }
}

TEST_CASE("an exception of a worker thread reaches the caller with its type") {
  struct Special {
    int value;
  };
  int caught = 0;
  try {
    for_each_chunk(2, {2, {}}, [](Index, int worker) {
      if (worker == 1) throw Special{42};
      std::this_thread::sleep_for(milliseconds(20));  // leaves the second chunk to worker 1
    });
  } catch (const Special& special) {
    caught = special.value;
  }
  CHECK(caught == 42);
}

TEST_CASE("two threads may ask for the posterior of one table at once") {
  const Labels labels = random_labels(1, 3000, 5, {3}, 0.6);
  const StateCoding coding = StateCoding::of_one_task(3);
  Random random(2);
  ScoreTable table{3, {}, {}, Link::softmax};
  for (int y = 0; y < 3; ++y) table.base.push_back(random.uniform(-2, 2));
  for (int i = 0; i < 5 * 4 * 3; ++i) table.of_state.push_back(random.uniform(-2, 2));
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  const StateReader dense_reader(dense.view, coding), sparse_reader(sparse.view, coding);

  const auto ask = [&](const StateReader& reader, std::vector<double>& p,
                       std::vector<std::int64_t>& best) {
    posterior(reader, {{1.0, table}}, {{{0, 1, 2}, 3, p.data()}}, {2, {}});
    most_probable(reader, {{1.0, table}}, {2, 0, 1}, best.data(), {2, {}});
  };
  std::vector<double> expected(9000), p1(9000), p2(9000), p3(9000);
  std::vector<std::int64_t> best(3000), best1(3000), best2(3000), best3(3000);
  ask(dense_reader, expected, best);
  std::thread first([&] { ask(dense_reader, p1, best1); });
  std::thread second([&] { ask(dense_reader, p2, best2); });
  ask(sparse_reader, p3, best3);
  first.join();
  second.join();
  CHECK(p1 == expected);
  CHECK(p2 == expected);
  CHECK(p3 == expected);
  CHECK(best1 == best);
  CHECK(best2 == best);
  CHECK(best3 == best);
}

TEST_CASE("two threads may count the moments of the same votes at once") {
  const Labels labels = random_labels(3, 13000, 4, {2}, 0.6);
  const StateCoding coding = StateCoding::of_one_task(2);
  const HeldVotes votes = dense_votes(labels);
  const StateReader reader(votes.view, coding);
  const std::vector<double> weights(13000, 0.5);
  const auto count = [&](MomentsKernel kernel) {
    return count_moments(reader, {true, {}}, kernel, {2, {}}).pairs;
  };
  std::vector<std::int64_t> planes, lists;
  std::thread first([&] { planes = count(MomentsKernel::bit_planes); });
  std::thread second([&] { lists = count(MomentsKernel::row_lists); });
  const std::vector<double> halves =
      count_moments(reader, {true, {}}, weights.data(), {2, {}}).pairs;
  first.join();
  second.join();
  CHECK(planes == lists);
  for (std::size_t i = 0; i < planes.size(); ++i)
    CHECK(static_cast<double>(planes[i]) == 2 * halves[i]);
  CHECK(vote_vectors(votes.view, {3, {}}).counts == vote_vectors(votes.view, {1, {}}).counts);
}

}  // namespace
}  // namespace consilience::test
