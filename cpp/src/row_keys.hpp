// Rows of states as numbers of 64 bits, and back.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "consilience/states.hpp"
#include "simd/loops.hpp"

namespace consilience {

/// A field of bits for each column, as many whole fields in every byte as it has room for.
class RowKeys {
 public:
  /// Only where `fit` says so.
  RowKeys(Index n_columns, std::int32_t n_states)
      : n_columns_(n_columns),
        bits_(bits_of(n_states)),
        per_byte_(8 / bits_),
        n_bytes_((n_columns + per_byte_ - 1) / per_byte_) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      for (int shift = 0; shift + bits_ <= 8; shift += bits_) {
        n_votes_[byte] += (byte >> shift & mask()) != 0 ? 1 : 0;
      }
    }
  }

  static bool fit(Index n_columns, std::int32_t n_states) {
    return n_states <= 256 && n_columns <= 8 * (8 / bits_of(n_states));
  }

  int n_bytes() const { return static_cast<int>(n_bytes_); }
  int n_bits() const { return 8 * n_bytes(); }

  void of_tile(const StateTile& tile, std::uint64_t* keys) const {
    simd::loops().row_keys(tile.states.data(), static_cast<std::size_t>(tile.stride),
                           static_cast<std::size_t>(tile.n_rows),
                           static_cast<std::size_t>(n_columns_), bits_, keys);
  }

  /// The inverse of `of_tile`.
  void to_tile(const std::uint64_t* keys, Index n_rows, StateTile& tile) const {
    tile.n_rows = n_rows;
    tile.stride = StateTile::stride_for(n_rows);
    tile.states.resize(static_cast<std::size_t>(n_columns_ * tile.stride));
    simd::loops().split_keys(keys, static_cast<std::size_t>(n_rows),
                             static_cast<std::size_t>(n_columns_), bits_, tile.states.data(),
                             static_cast<std::size_t>(tile.stride));
  }

  /// What a vote adds to the key of its row.
  std::uint64_t of_vote(Index column, std::int32_t state) const {
    const Index byte = column / per_byte_, last = std::min((byte + 1) * per_byte_, n_columns_);
    return static_cast<std::uint64_t>(state) << (8 * byte + (last - 1 - column) * bits_);
  }

  /// Votes of a row.
  Index count_votes(std::uint64_t key) const {
    Index n = 0;
    for (Index byte = 0; byte < n_bytes_; ++byte, key >>= 8) n += n_votes_[key & 0xff];
    return n;
  }

  /// Lists them by increasing column; there is room for a vote in every column.
  Index list_votes(std::uint64_t key, std::int32_t* column, std::int32_t* state) const {
    Index n = 0;
    for (Index first = 0; first < n_columns_; first += per_byte_, key >>= 8) {
      const Index last = std::min(first + per_byte_, n_columns_);
      for (Index j = first; j < last; ++j) {
        // The first column of a byte has its highest field.
        const auto of_column = static_cast<std::int32_t>(
            static_cast<unsigned>(key & 0xff) >> (last - 1 - j) * bits_ & mask());
        // Written always, kept only if it is a vote: no branch to mispredict.
        column[n] = static_cast<std::int32_t>(j);
        state[n] = of_column;
        n += of_column != 0 ? 1 : 0;
      }
    }
    return n;
  }

 private:
  static int bits_of(std::int32_t n_states) {
    return std::max(1, static_cast<int>(std::bit_width(static_cast<unsigned>(n_states - 1))));
  }
  unsigned mask() const { return (1u << bits_) - 1; }

  Index n_columns_;
  int bits_;
  Index per_byte_;
  Index n_bytes_;
  std::array<std::uint8_t, 256> n_votes_{};
};

}  // namespace consilience
