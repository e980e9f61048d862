// Distinct numbers among many and how often each occurs, by sorting.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "consilience/parallel.hpp"
#include "consilience/types.hpp"

namespace consilience {

/// Numbers below 2^n_bits with a weight each, 8 <= n_bits <= 64, gathered slab by slab: a slab is
/// dealt out to buckets, a bucket sorted in the cache and merged with what it held before. The
/// result, its order included, depends on the weighted numbers and the slabs alone; with whole
/// weights on the numbers alone.
class DistinctKeys {
 public:
  static constexpr std::size_t kBuckets = 256;

  explicit DistinctKeys(int n_bits)
      : n_bits_(n_bits),
        mask_(n_bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n_bits) - 1) {}

  /// How many distinct ones there are.
  Index size() const {
    std::size_t n = 0;
    for (const Bucket& bucket : buckets_) n += bucket.keys.size();
    return static_cast<Index>(n);
  }

  /// How many of them a bucket holds.
  std::size_t size(std::size_t b) const { return buckets_[b].keys.size(); }

  /// Moves those of a bucket, in their order, to where there is room for them.
  void take(std::size_t b, std::uint64_t* keys, double* weights) {
    const Bucket bucket = std::move(buckets_[b]);
    std::transform(bucket.keys.begin(), bucket.keys.end(), keys,
                   [this](std::uint64_t scattered) { return scattered * kInverse & mask_; });
    std::copy(bucket.weights.begin(), bucket.weights.end(), weights);
    buckets_[b] = {};
  }

  /// Adds a slab of n keys, filled in blocks of `block` rows by `read(begin, n, keys)`, which may
  /// run on any thread. `weights`, (n,), may be null: each then counts once.
  template <class Read>
  void add(Index n, Index block, const double* weights, const Execution& execution,
           const Read& read) {
    if (weights == nullptr) {
      add_records<Counted>(n, block, nullptr, execution, read);
    } else {
      add_records<Weighted>(n, block, weights, execution, read);
    }
  }

 private:
  /// Numbers in increasing order of what they are scattered to.
  struct Bucket {
    std::vector<std::uint64_t> keys;  // scattered
    std::vector<double> weights;
  };
  struct Counted {
    std::uint64_t key;
    static constexpr double weight = 1;
  };
  struct Weighted {
    std::uint64_t key;
    double weight;
  };
  // Odd numbers whose product is 1 modulo 2^64, hence modulo every smaller power of two.
  static constexpr std::uint64_t kScatter = 0x9e3779b97f4a7c15ULL, kInverse = 0xf1de83e19937733dULL;
  static_assert(kScatter * kInverse == 1);

  template <class Record, class Read>
  void add_records(Index n, Index block, const double* weights, const Execution& execution,
                   const Read& read) {
    const Index n_blocks = (n + block - 1) / block;
    std::vector<std::uint64_t> keys(static_cast<std::size_t>(n));
    std::vector<std::array<std::uint32_t, kBuckets>> place(static_cast<std::size_t>(n_blocks));
    const int bucket_shift = n_bits_ - 8;
    for_each_chunk(n_blocks, execution, [&](Index b, int) {
      const Index begin = b * block, n_rows = std::min(block, n - begin);
      std::uint64_t* of_block = keys.data() + begin;
      read(begin, n_rows, of_block);
      auto& counts = place[static_cast<std::size_t>(b)];
      counts.fill(0);
      for (Index r = 0; r < n_rows; ++r) {
        of_block[r] = of_block[r] * kScatter & mask_;
        ++counts[of_block[r] >> bucket_shift];
      }
    });
    std::array<std::size_t, kBuckets + 1> first{};
    std::uint32_t next = 0;
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
      first[bucket] = next;
      for (auto& of_block : place) next += std::exchange(of_block[bucket], next);
    }
    first[kBuckets] = next;
    std::vector<Record> dealt(static_cast<std::size_t>(n));
    for_each_chunk(n_blocks, execution, [&](Index b, int) {
      auto& at = place[static_cast<std::size_t>(b)];
      for (Index r = b * block; r < std::min(n, (b + 1) * block); ++r) {
        const std::uint64_t key = keys[static_cast<std::size_t>(r)];
        Record& record = dealt[at[key >> bucket_shift]++];
        record.key = key;
        if constexpr (std::is_same_v<Record, Weighted>) record.weight = weights[r];
      }
    });
    keys = {};
    for_each_chunk(kBuckets, execution, [&](Index b, int) {
      const auto bucket = static_cast<std::size_t>(b);
      Record* begin = dealt.data() + first[bucket];
      const std::size_t size = first[bucket + 1] - first[bucket];
      sort(begin, size, bucket_shift);
      merge(buckets_[bucket], begin, size);
    });
  }

  /// Stable, by the lowest `n_bits` bits; the others are all the same.
  template <class Record>
  static void sort(Record* records, std::size_t n, int n_bits) {
    constexpr int kDigit = 11;
    if (n < 1024) {
      std::stable_sort(records, records + n,
                       [](const Record& a, const Record& b) { return a.key < b.key; });
      return;
    }
    std::vector<Record> other(n);
    Record *from = records, *to = other.data();
    for (int shift = 0; shift < n_bits; shift += kDigit) {
      std::array<std::uint32_t, std::size_t{1} << kDigit> at{};
      const auto digit = [shift](const Record& record) {
        return record.key >> shift & ((std::uint64_t{1} << kDigit) - 1);
      };
      for (std::size_t i = 0; i < n; ++i) ++at[digit(from[i])];
      std::uint32_t next = 0;
      for (std::uint32_t& place : at) next += std::exchange(place, next);
      for (std::size_t i = 0; i < n; ++i) to[at[digit(from[i])]++] = from[i];
      std::swap(from, to);
    }
    if (from != records) std::copy_n(from, n, records);
  }

  template <class Record>
  static void merge(Bucket& bucket, const Record* records, std::size_t n) {
    if (n == 0) return;
    const Bucket old = std::move(bucket);
    std::size_t n_fresh = 1;
    for (std::size_t i = 1; i < n; ++i) n_fresh += records[i].key != records[i - 1].key ? 1 : 0;
    bucket = {};
    bucket.keys.reserve(old.keys.size() + n_fresh);
    bucket.weights.reserve(old.keys.size() + n_fresh);
    std::size_t o = 0;
    for (std::size_t i = 0; i < n;) {
      const std::uint64_t key = records[i].key;
      for (; o < old.keys.size() && old.keys[o] < key; ++o) {
        bucket.keys.push_back(old.keys[o]);
        bucket.weights.push_back(old.weights[o]);
      }
      double weight = 0;
      if (o < old.keys.size() && old.keys[o] == key) weight = old.weights[o++];
      for (; i < n && records[i].key == key; ++i) weight += records[i].weight;
      bucket.keys.push_back(key);
      bucket.weights.push_back(weight);
    }
    bucket.keys.insert(bucket.keys.end(), old.keys.begin() + static_cast<std::ptrdiff_t>(o),
                       old.keys.end());
    bucket.weights.insert(bucket.weights.end(),
                          old.weights.begin() + static_cast<std::ptrdiff_t>(o), old.weights.end());
  }

  int n_bits_;
  std::uint64_t mask_;
  std::array<Bucket, kBuckets> buckets_;
};

}  // namespace consilience
