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
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::mutex mutex_;
  Index chunk_ = std::numeric_limits<Index>::max();
  std::exception_ptr exception_;
};

}  // namespace

int n_workers(Index n_chunks, const Execution& execution) {
  const Index wanted = std::max(1, execution.n_threads);
  return static_cast<int>(std::clamp<Index>(n_chunks, 1, wanted));
}

void for_each_chunk(Index n_chunks, const Execution& execution,
                    const std::function<void(Index chunk, int worker)>& body) {
  const int workers = n_workers(n_chunks, execution);
  std::atomic<Index> next{0};
  std::atomic<bool> stopped{false};
  FirstFailure failure;

  const auto work = [&](int worker) {
    while (!stopped.load(std::memory_order_relaxed)) {
      const Index chunk = next.fetch_add(1);
      if (chunk >= n_chunks) return;
      try {
        body(chunk, worker);
        if (worker == 0 && execution.poll) execution.poll();
      } catch (...) {
        failure.keep(chunk);
        stopped = true;
      }
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
