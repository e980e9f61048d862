// Reading borrowed integer arrays of any element type.
#pragma once

#include <cstring>
#include <stdexcept>

#include "consilience/types.hpp"

namespace consilience {

/// Calls `body(T{})` with the C++ type that `type` names.
template <class Body>
decltype(auto) with_int_type(IntType type, Body&& body) {
  switch (type) {
    case IntType::i8:
      return body(std::int8_t{});
    case IntType::i16:
      return body(std::int16_t{});
    case IntType::i32:
      return body(std::int32_t{});
    case IntType::i64:
      return body(std::int64_t{});
    case IntType::u8:
      return body(std::uint8_t{});
    case IntType::u16:
      return body(std::uint16_t{});
    case IntType::u32:
      return body(std::uint32_t{});
    case IntType::u64:
      return body(std::uint64_t{});
  }
  throw std::logic_error("unknown integer type");
}

/// The element at `at`, which need not be aligned. What no int64 holds becomes its maximum.
template <class T>
std::int64_t load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  if constexpr (sizeof(T) == 8 && T(-1) > T(0)) {
    constexpr T largest = static_cast<T>(INT64_MAX);
    return static_cast<std::int64_t>(value < largest ? value : largest);
  } else {
    return static_cast<std::int64_t>(value);
  }
}

template <class T>
std::int64_t load(const IntArray& array, Index i) {
  return load<T>(array.data + i * static_cast<Index>(sizeof(T)));
}

inline std::int64_t load(const IntArray& array, Index i) {
  return with_int_type(array.type, [&](auto zero) { return load<decltype(zero)>(array, i); });
}

}  // namespace consilience
