// Chunks of work over threads that live only as long as the call.
#pragma once

#include <functional>

#include "consilience/types.hpp"

namespace consilience {

/// Workers that `for_each_chunk` will use: at least 1, at most one a chunk.
int n_workers(Index n_chunks, const Execution& execution);

/// Calls `body(chunk, worker)` once for every chunk in [0, n_chunks).
///
/// Workers take runs of neighbouring chunks, in increasing order; which one takes which is not
/// fixed, so a body adds only what commutes exactly (integers) or writes to its chunk's own place.
/// The calling thread works too, as worker 0, and polls between its chunks. Every thread has ended
/// on return. When bodies throw, the exception of the lowest chunk is rethrown: the same one for
/// any number of threads.
void for_each_chunk(Index n_chunks, const Execution& execution,
                    const std::function<void(Index chunk, int worker)>& body);

}  // namespace consilience
