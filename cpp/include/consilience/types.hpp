// Borrowed views of the votes, as a caller's arrays hold them. No logic, no ownership.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <variant>
#include <vector>

namespace consilience {

using Index = std::int64_t;

/// Element type of a borrowed integer array.
enum class IntType : std::uint8_t { i8, i16, i32, i64, u8, u16, u32, u64 };

/// A table of labels, (n_items, n_sources), any strides. A negative one (-1) abstains.
struct DenseTable {
  const std::byte* data;
  IntType type;
  Index row_stride;     // in bytes
  Index column_stride;  // in bytes
};

/// A borrowed one-dimensional integer array, contiguous.
struct IntArray {
  const std::byte* data;
  IntType type;
};

/// A CSR table that stores label + 1; what is absent, or stored as 0, abstains. The caller has
/// checked the structure with `check_sparse_structure`.
struct SparseTable {
  IntArray indptr;   // (n_items + 1,)
  IntArray indices;  // (n_votes,)
  IntArray data;     // (n_votes,)
};

using VoteTable = std::variant<DenseTable, SparseTable>;

/// Votes about one or several tasks: a table a task, the same items and sources in each.
struct VoteView {
  Index n_items;
  Index n_sources;
  std::vector<VoteTable> tables;            // (n_tasks,)
  std::vector<std::int32_t> cardinalities;  // (n_tasks,) labels of task t lie in [-1, cardinality)
};

/// How a kernel runs: on how many threads, and what it calls now and then on the calling thread
/// (which may throw to end the call early, for example on Ctrl-C).
struct Execution {
  int n_threads = 1;
  std::function<void()> poll;
};

}  // namespace consilience
