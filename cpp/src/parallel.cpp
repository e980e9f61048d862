#include "consilience/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

namespace consilience {
namespace {

/// The exception of the lowest chunk that failed.
class FirstFailure {
 public:
  void keep(Index chunk) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (chunk < chunk_) {
      chunk_ = chunk;
      exception_ = std::current_exception();
    }
  }
  /// Whether a chunk is still to be worked on: one before it may fail as well.
  bool is_after(Index chunk) const { return chunk < chunk_.load(std::memory_order_relaxed); }
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::mutex mutex_;
  std::atomic<Index> chunk_ = std::numeric_limits<Index>::max();
  std::exception_ptr exception_;
};

/// Chunks that a worker takes at a time: neighbours, where there are many, as two workers that
/// fill the same large page of fresh memory wait for each other.
Index run_length(Index n_chunks, int n_workers) {
  constexpr Index kRunsOfWorker = 32;
  return std::max<Index>(1, n_chunks / (kRunsOfWorker * n_workers));
}

}  // namespace

int n_workers(Index n_chunks, const Execution& execution) {
  const Index wanted = std::max(1, execution.n_threads);
  return static_cast<int>(std::clamp<Index>(n_chunks, 1, wanted));
}

void for_each_chunk(Index n_chunks, const Execution& execution,
                    const std::function<void(Index chunk, int worker)>& body) {
  const int workers = n_workers(n_chunks, execution);
  const Index run = run_length(n_chunks, workers);
  std::atomic<Index> next{0};
  FirstFailure failure;

  const auto work = [&](int worker) {
    for (;;) {
      const Index begin = next.fetch_add(run);
      const Index end = std::min(n_chunks, begin + run);
      for (Index chunk = begin; chunk < end; ++chunk) {
        if (!failure.is_after(chunk)) return;
        try {
          body(chunk, worker);
          if (worker == 0 && execution.poll) execution.poll();
        } catch (...) {
          failure.keep(chunk);
        }
      }
      if (end == n_chunks) return;
    }
  };

  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(workers - 1));
  try {
    for (int worker = 1; worker < workers; ++worker) threads.emplace_back(work, worker);
  } catch (...) {
    // The system gives no more threads: those that started, and this one, do the work.
  }
  work(0);
  for (std::thread& thread : threads) thread.join();
  failure.rethrow();
}

}  // namespace consilience
