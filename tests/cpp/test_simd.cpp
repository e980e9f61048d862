#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "simd/loops.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

template <class T>
std::unique_ptr<T[]> exact(const std::vector<T>& values) {  // ends where the values end
  auto copy = std::make_unique<T[]>(values.size());
  std::copy(values.begin(), values.end(), copy.get());
  return copy;
}

TEST_CASE("select_loops takes every version on offer and refuses others") {
  const std::vector<std::string> levels = simd_levels();
  REQUIRE(levels.size() >= 1);
  CHECK(levels[0] == "baseline");
  for (const std::string& level : levels) {
    CHECK(simd::select_loops(level.c_str()));
    CHECK(simd::loops().name == level);
  }
  CHECK_FALSE(simd::select_loops("abacus"));
  CHECK(simd::loops().name == levels.back());
}

TEST_CASE("the number of versions is given even where there is no room for their names") {
  CHECK(simd::available_loops(nullptr, 0) == simd_levels().size());
}

TEST_CASE("transpose_labels moves every label to its place, at every odd shape") {
  for (const std::string& level : simd_levels()) {
    CAPTURE(level);
    const WithSimdLevel with(level);
    for (const std::size_t n : {1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129}) {
      for (const std::size_t m : {1, 7, 15, 16, 17, 32, 33}) {
        for (const std::size_t step : {m, m + 1, m + 20}) {
          Random random(n * 1000 + m);
          std::vector<std::int8_t> labels((n - 1) * step + m, 77);
          std::vector<std::uint8_t> expected(m * 192, 0xee), states(m * 192, 0xee);
          for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < m; ++j) {
              labels[i * step + j] = static_cast<std::int8_t>(random.below(4) - 1);
              expected[j * 192 + i] = static_cast<std::uint8_t>(labels[i * step + j] + 1);
            }
          }
          const auto block = exact(labels);
          CHECK(simd::loops().transpose_labels(block.get(), static_cast<std::ptrdiff_t>(step), n, m,
                                               labels.size(), states.data(), 192, 3) == 0);
          CHECK(states == expected);
        }
      }
    }
  }
}

TEST_CASE("a bad label is noticed at every place") {
  constexpr std::size_t n = 99, m = 3;
  std::vector<std::uint8_t> states(m * 128);

  for (const std::string& level : simd_levels()) {
    CAPTURE(level);
    const WithSimdLevel with(level);
    for (std::size_t at = 0; at < n * m; ++at) {
      for (const int bad : {4, 127, -2, -128}) {
        std::vector<std::int8_t> labels(n * m, 3);
        labels[at] = static_cast<std::int8_t>(bad);
        CHECK(simd::loops().transpose_labels(labels.data(), m, n, m, labels.size(), states.data(),
                                             128, 4) != 0);
        CHECK(simd::loops().shift_labels(labels.data(), n * m, states.data(), 4) != 0);
        CHECK(simd::loops().largest_state(labels.data(), n * m) ==
              static_cast<std::uint8_t>(bad + 1));
      }
    }
  }
}

template <class Label>
void check_narrowing(int (*narrow)(const void*, std::size_t, std::int64_t, std::int8_t*)) {
  constexpr Label least = std::numeric_limits<Label>::min(),
                  most = std::numeric_limits<Label>::max();
  for (const std::size_t n : {0, 1, 63, 64, 65, 130}) {
    Random random(n);
    std::vector<Label> labels(n);
    for (Label& label : labels) label = static_cast<Label>(random.below(201) - 1);
    std::vector<char> bytes(n * sizeof(Label) + 1);  // not aligned
    const auto narrowed = exact(std::vector<std::int8_t>(n, 99));
    const auto is_bad = [&](std::int64_t cardinality) {
      if (n > 0) std::memcpy(bytes.data() + 1, labels.data(), n * sizeof(Label));
      return narrow(bytes.data() + 1, n, cardinality, narrowed.get()) != 0;
    };
    CHECK_FALSE(is_bad(200));
    CHECK_FALSE(is_bad(std::int64_t{1} << 40));
    for (std::size_t i = 0; i < n; ++i) REQUIRE(narrowed[i] == static_cast<std::int8_t>(labels[i]));
    for (std::size_t at = 0; at < n; ++at) {
      for (const Label bad : {Label{200}, Label{-2}, Label{256}, least, most}) {
        const Label good = std::exchange(labels[at], bad);
        CHECK(is_bad(200));
        labels[at] = good;
      }
    }
  }
}

TEST_CASE(
    "labels of wider integers keep their low bytes, and a bad one is noticed at every place") {
  for (const std::string& level : simd_levels()) {
    CAPTURE(level);
    const WithSimdLevel with(level);
    check_narrowing<std::int16_t>(simd::loops().narrow_16);
    check_narrowing<std::int32_t>(simd::loops().narrow_32);
    check_narrowing<std::int64_t>(simd::loops().narrow_64);
  }
}

TEST_CASE("with 128 classes or more every int8 label from -1 on is good, and no other") {
  std::vector<std::uint8_t> states(64);
  for (const std::string& level : simd_levels()) {
    const WithSimdLevel with(level);
    for (const std::uint8_t n_classes : {128, 200, 255}) {
      for (int label = -128; label < 128; ++label) {
        const std::vector<std::int8_t> labels(16, static_cast<std::int8_t>(label));
        const bool is_bad = label < -1;
        CHECK((simd::loops().shift_labels(labels.data(), 16, states.data(), n_classes) != 0) ==
              is_bad);
        CHECK((simd::loops().transpose_labels(labels.data(), 1, 16, 1, 16, states.data(), 64,
                                              n_classes) != 0) == is_bad);
      }
    }
  }
}

TEST_CASE("pack_equal sets the bit of every row in the state asked for") {
  for (const std::size_t n_words : {1, 2, 3, 5, 64}) {
    Random random(n_words);
    std::vector<std::uint8_t> states(64 * n_words);
    for (std::uint8_t& state : states) {
      state = static_cast<std::uint8_t>(random.below(3) * 127);  // 0, 127 and 254
    }
    const auto block = exact(states);
    for (const std::uint8_t wanted : {0, 1, 127, 254, 255}) {
      std::vector<std::uint64_t> expected(n_words, 0);
      for (std::size_t r = 0; r < states.size(); ++r) {
        if (states[r] == wanted) expected[r / 64] |= std::uint64_t{1} << (r % 64);
      }
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        const auto bits = std::make_unique<std::uint64_t[]>(n_words);
        simd::loops().pack_equal(block.get(), n_words, wanted, bits.get());
        CHECK(std::vector<std::uint64_t>(bits.get(), bits.get() + n_words) == expected);
      }
    }
  }
}

TEST_CASE("add_multiples adds modulo 256, at every length") {
  for (const std::size_t n : {0, 1, 15, 63, 64, 65, 130}) {
    Random random(n);
    std::vector<std::uint8_t> bytes(n), sums(n);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));
    for (std::uint8_t& sum : sums) sum = static_cast<std::uint8_t>(random.below(256));
    for (const std::uint8_t factor : {0, 1, 12, 255}) {
      std::vector<std::uint8_t> expected = sums;
      for (std::size_t i = 0; i < n; ++i) {
        expected[i] = static_cast<std::uint8_t>(expected[i] + factor * bytes[i]);
      }
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        const auto found = exact(sums);
        simd::loops().add_multiples(exact(bytes).get(), n, factor, found.get());
        CHECK(std::vector<std::uint8_t>(found.get(), found.get() + n) == expected);
      }
    }
  }
}

TEST_CASE("look_up replaces every byte by its entry, which is 0 beyond the table") {
  for (const std::size_t n_entries : {1, 15, 16, 17, 48, 240, 241, 256}) {
    Random random(n_entries);
    std::vector<std::uint8_t> table(256, 0);
    for (std::size_t i = 0; i < n_entries; ++i) {
      table[i] = static_cast<std::uint8_t>(1 + random.below(255));
    }
    for (const std::size_t n_groups : {0, 4, 5}) {
      std::vector<std::uint8_t> bytes(64 * n_groups);
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i % 256);
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        const auto found = exact(bytes);
        simd::loops().look_up(found.get(), n_groups, table.data(), n_entries);
        bool same = true;
        for (std::size_t i = 0; i < bytes.size(); ++i) same &= found[i] == table[bytes[i]];
        CHECK(same);
      }
    }
  }
}

TEST_CASE("take_equal clears the rows with a byte and counts those that were set") {
  for (const std::size_t n_words : {0, 1, 3, 63, 64, 65, 130}) {
    Random random(n_words);
    std::vector<std::uint8_t> bytes(64 * n_words);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.below(3) * 127);
    std::vector<std::uint64_t> rows(n_words);
    for (std::uint64_t& word : rows) {
      for (int bit = 0; bit < 64; ++bit) word |= static_cast<std::uint64_t>(random.below(2)) << bit;
    }
    for (const std::uint8_t value : {0, 1, 127, 254}) {
      std::vector<std::uint64_t> expected = rows;
      std::uint64_t n_taken = 0;
      for (std::size_t r = 0; r < bytes.size(); ++r) {
        const std::uint64_t bit = std::uint64_t{1} << (r % 64);
        if (bytes[r] != value || (expected[r / 64] & bit) == 0) continue;
        expected[r / 64] ^= bit;
        ++n_taken;
      }
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        const auto left = exact(rows);
        CHECK(simd::loops().take_equal(exact(bytes).get(), n_words, value, left.get()) == n_taken);
        CHECK(std::vector<std::uint64_t>(left.get(), left.get() + n_words) == expected);
      }
    }
  }
}

TEST_CASE("increment counts the planes that have each bit, modulo the digits there are") {
  for (const std::string& level : simd_levels()) {
    CAPTURE(level);
    const WithSimdLevel with(level);
    for (const std::size_t n_words : {1, 7, 8, 9, 17}) {
      for (const std::size_t n_digits : {1, 3, 5}) {
        Random random(n_words);
        std::vector<int> expected(64 * n_words, 0);
        auto digits = exact(std::vector<std::uint64_t>(n_words * n_digits, 0));
        for (int plane = 0; plane < 20; ++plane) {
          std::vector<std::uint64_t> bits(n_words);
          for (std::uint64_t& word : bits)
            word = static_cast<std::uint64_t>(random.below(INT64_MAX));
          for (std::size_t r = 0; r < 64 * n_words; ++r) expected[r] += bits[r / 64] >> r % 64 & 1;
          simd::loops().increment(exact(bits).get(), n_words, digits.get(), n_digits);
        }
        for (std::size_t r = 0; r < 64 * n_words; ++r) {
          int number = 0;
          for (std::size_t p = 0; p < n_digits; ++p) {
            number += static_cast<int>(digits[p * n_words + r / 64] >> r % 64 & 1) << p;
          }
          REQUIRE(number == expected[r] % (1 << n_digits));
        }
      }
    }
  }
}

TEST_CASE("merge_plane adds votes to their source, their state and the rows with one and two") {
  for (const std::size_t n_words : {1, 3, 8, 17, 64}) {
    Random random(n_words);
    std::vector<std::vector<std::uint64_t>> before(5, std::vector<std::uint64_t>(n_words));
    for (std::vector<std::uint64_t>& plane : before) {
      for (std::uint64_t& word : plane) word = static_cast<std::uint64_t>(random.below(INT64_MAX));
    }
    const auto& [bits, of_source, of_state, once, twice] =
        std::tie(before[0], before[1], before[2], before[3], before[4]);
    std::vector<std::vector<std::uint64_t>> expected = before;
    for (std::size_t w = 0; w < n_words; ++w) {
      expected[1][w] = of_source[w] | bits[w];
      expected[2][w] = of_state[w] | bits[w];
      expected[3][w] = once[w] | bits[w];
      expected[4][w] = twice[w] | (once[w] & bits[w]);
    }
    for (const std::string& level : simd_levels()) {
      CAPTURE(level);
      const WithSimdLevel with(level);
      std::vector<std::unique_ptr<std::uint64_t[]>> planes;
      for (const std::vector<std::uint64_t>& plane : before) planes.push_back(exact(plane));
      simd::loops().merge_plane(planes[0].get(), n_words, planes[1].get(), planes[2].get(),
                                planes[3].get(), planes[4].get());
      for (std::size_t p = 0; p < 5; ++p) {
        CHECK(std::equal(expected[p].begin(), expected[p].end(), planes[p].get()));
      }
    }
  }
}

TEST_CASE("count_intersections adds the number of common bits, at every length and number") {
  for (const std::size_t n_words : {1, 2, 7, 8, 9, 15, 16, 63, 64, 65, 127, 128, 129, 200}) {
    for (const std::size_t n_planes : {1, 2, 3, 7, 8, 9, 17}) {
      Random random(n_words);
      std::vector<std::uint64_t> plane(n_words), planes(n_words * n_planes);
      const auto word = [&] {
        return static_cast<std::uint64_t>(random.below(INT64_MAX)) << random.below(2);
      };
      for (std::uint64_t& bits : plane) bits = word();
      for (std::uint64_t& bits : planes) bits = word();
      std::fill_n(planes.begin(), n_words, ~std::uint64_t{0});
      std::vector<std::uint64_t> start(n_planes);
      for (std::size_t p = 0; p < n_planes; ++p) start[p] = 10 * p;
      std::vector<std::uint64_t> expected = start;
      for (std::size_t p = 0; p < n_planes; ++p) {
        for (std::size_t w = 0; w < n_words; ++w) {
          expected[p] +=
              static_cast<std::uint64_t>(std::popcount(plane[w] & planes[p * n_words + w]));
        }
      }
      const auto a = exact(plane), b = exact(planes);
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        const auto sums = exact(start);
        simd::loops().count_intersections(a.get(), b.get(), n_planes, n_words, sums.get());
        CHECK(std::vector<std::uint64_t>(sums.get(), sums.get() + n_planes) == expected);
      }
    }
  }
}

TEST_CASE("add_looked_up adds the entries of every row's states, at every shape") {
  for (const int n_states : {2, 3, 4, 5, 8, 9, 16, 17}) {
    for (const std::size_t n : {1, 3, 4, 7, 8, 9, 17, 64, 65, 131}) {
      for (const std::size_t m : {1, 2, 9}) {
        Random random(n * 100 + static_cast<std::size_t>(n_states));
        constexpr std::size_t width = 20;
        std::vector<double> tables(m * width, 0.0);
        for (double& entry : tables) entry = random.uniform(-5, 5);
        const std::size_t stride = n + 3;
        std::vector<std::uint8_t> states((m - 1) * stride + n);
        for (std::uint8_t& state : states) {
          state = static_cast<std::uint8_t>(random.below(n_states));
        }
        std::vector<double> expected(n, 0.25);
        for (std::size_t r = 0; r < n; ++r) {
          for (std::size_t j = 0; j < m; ++j) {
            expected[r] += tables[j * width + states[j * stride + r]];
          }
        }
        const auto rows = exact(states);
        const auto entries = exact(tables);
        for (const std::string& level : simd_levels()) {
          CAPTURE(level);
          const WithSimdLevel with(level);
          const auto sums = std::make_unique<double[]>(n);
          simd::loops().add_looked_up(rows.get(), stride, n, m, entries.get(), width, n_states,
                                      0.25, sums.get());
          CHECK(std::vector<double>(sums.get(), sums.get() + n) == expected);
        }
      }
    }
  }
}

TEST_CASE("list_votes lists every vote of every row, at every odd shape") {
  for (const std::size_t n : {1, 2, 9, 40}) {
    for (const std::size_t m : {1, 7, 15, 16, 17, 63, 64, 65, 130}) {
      for (const std::size_t step : {m, m + 5}) {
        for (const std::int64_t one_in : {1, 3, 12}) {
          Random random(n * 1000 + m);
          std::vector<std::int8_t> labels((n - 1) * step + m, 77);
          std::vector<std::int64_t> start{0};
          std::vector<std::int32_t> source, state;
          for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < m; ++j) {
              const auto label =
                  static_cast<std::int8_t>(random.below(one_in) == 0 ? random.below(127) : -1);
              labels[i * step + j] = label;
              if (label == -1) continue;
              source.push_back(static_cast<std::int32_t>(j));
              state.push_back(label + 1);
            }
            start.push_back(static_cast<std::int64_t>(source.size()));
          }
          const auto block = exact(labels);
          for (const std::string& level : simd_levels()) {
            CAPTURE(level);
            const WithSimdLevel with(level);
            std::vector<std::int64_t> starts(n + 1, -1);
            const auto sources = std::make_unique<std::int32_t[]>(n * m + 16);
            const auto states = std::make_unique<std::int32_t[]>(n * m + 16);
            CHECK(simd::loops().list_votes(block.get(), static_cast<std::ptrdiff_t>(step), n, m,
                                           labels.size(), 127, starts.data(), sources.get(),
                                           states.get()) == 0);
            CHECK(starts == start);
            CHECK(std::equal(source.begin(), source.end(), sources.get()));
            CHECK(std::equal(state.begin(), state.end(), states.get()));
          }
        }
      }
    }
  }
}

TEST_CASE("list_votes notices a bad label at every place") {
  constexpr std::size_t n = 3, m = 70;
  std::vector<std::int64_t> start(n + 1);
  std::vector<std::int32_t> source(n * m + 16), state(n * m + 16);
  for (const std::string& level : simd_levels()) {
    CAPTURE(level);
    const WithSimdLevel with(level);
    for (std::size_t at = 0; at < n * m; ++at) {
      for (const int bad : {4, 127, -2, -128}) {
        std::vector<std::int8_t> labels(n * m, 3);
        labels[at] = static_cast<std::int8_t>(bad);
        CHECK(simd::loops().list_votes(labels.data(), m, n, m, labels.size(), 4, start.data(),
                                       source.data(), state.data()) != 0);
      }
    }
  }
}

TEST_CASE("add_votes adds the entries of each row's votes in their order, at every width") {
  for (const std::size_t width : {4, 8, 12, 16, 20, 32, 44}) {
    constexpr std::size_t n = 21, stride = 23, m = 6;
    constexpr std::int32_t n_states = 3;
    Random random(width);
    std::vector<double> entries(m * n_states * width), base(width);
    for (double& entry : entries) entry = random.uniform(-5, 5);
    for (double& entry : base) entry = random.uniform(-5, 5);
    std::vector<std::int64_t> start{0};
    std::vector<std::int32_t> source, state;
    std::vector<double> expected(width * stride, 7.0);
    for (std::size_t r = 0; r < n; ++r) {
      std::vector<double> sums = base;
      for (std::size_t j = 0; j < m; ++j) {
        const auto s = static_cast<std::int32_t>(random.below(n_states));
        if (s == 0) continue;
        source.push_back(static_cast<std::int32_t>(j));
        state.push_back(s);
        for (std::size_t y = 0; y < width; ++y) {
          sums[y] += entries[(j * n_states + static_cast<std::size_t>(s)) * width + y];
        }
      }
      start.push_back(static_cast<std::int64_t>(source.size()));
      for (std::size_t y = 0; y < width; ++y) expected[y * stride + r] = sums[y];
    }
    const auto table = exact(entries), first = exact(base);
    for (const std::string& level : simd_levels()) {
      CAPTURE(level);
      const WithSimdLevel with(level);
      std::vector<double> scores(width * stride, 7.0);
      simd::loops().add_votes(start.data(), source.data(), state.data(), n, n_states, table.get(),
                              first.get(), width, scores.data(), stride);
      CHECK(scores == expected);
    }
  }
}

TEST_CASE("interleave turns columns into rows, and rounds each number once") {
  for (const std::size_t k : {1, 2, 3, 8, 11}) {
    for (const std::size_t n : {1, 7, 16, 33}) {
      Random random(k * 100 + n);
      const std::size_t stride = n + 2;
      std::vector<double> columns((k - 1) * stride + n);
      for (double& x : columns) x = random.uniform();
      const auto from = exact(columns);
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        const auto rows = std::make_unique<double[]>(n * k);
        const auto rounded = std::make_unique<float[]>(n * k);
        simd::loops().interleave(from.get(), k, stride, n, rows.get());
        simd::loops().interleave_rounded(from.get(), k, stride, n, rounded.get());
        for (std::size_t r = 0; r < n; ++r) {
          for (std::size_t c = 0; c < k; ++c) {
            CHECK(rows[r * k + c] == columns[c * stride + r]);
            CHECK(rounded[r * k + c] == static_cast<float>(columns[c * stride + r]));
          }
        }
      }
    }
  }
}

TEST_CASE("first_of_highest takes the preferred one of those that tie") {
  for (const std::size_t k : {1, 2, 3, 9}) {
    for (const std::size_t n : {1, 15, 16, 17, 40}) {
      Random random(k * 100 + n);
      const std::size_t stride = n + 1;
      std::vector<double> scores((k - 1) * stride + n);
      for (double& score : scores) score = static_cast<double>(random.below(3));  // many ties
      std::vector<std::int32_t> preference(k);
      for (std::size_t y = 0; y < k; ++y) {
        preference[y] = static_cast<std::int32_t>((y * 7 + 3) % k);
      }
      std::vector<std::int64_t> expected(n);
      for (std::size_t r = 0; r < n; ++r) {
        double highest = scores[r];
        for (std::size_t y = 1; y < k; ++y) {
          highest = std::max(highest, scores[y * stride + r]);
        }
        std::size_t i = 0;
        while (scores[static_cast<std::size_t>(preference[i]) * stride + r] < highest - 0.5) ++i;
        expected[r] = preference[i];
      }
      const auto from = exact(scores);
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        std::vector<std::int64_t> found(n, -1);
        simd::loops().first_of_highest(from.get(), k, stride, n, preference.data(), 0.5,
                                       found.data());
        CHECK(found == expected);
      }
    }
  }
}

TEST_CASE("row_codes writes states as digits, and copy_records moves what they stand for") {
  for (const std::size_t n : {1, 63, 64, 65, 200}) {
    Random random(n);
    constexpr std::size_t m = 5;
    const std::size_t stride = n + 4;
    std::vector<std::uint8_t> states((m - 1) * stride + n);
    for (std::uint8_t& state : states) state = static_cast<std::uint8_t>(random.below(4));
    std::vector<std::uint32_t> expected(n, 0);
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t j = 0; j < m; ++j) expected[r] = 4 * expected[r] + states[j * stride + r];
    }
    const auto from = exact(states);
    for (const std::size_t n_bytes : {4, 8, 12, 16, 20, 24, 32, 80}) {
      std::vector<unsigned char> table(1024 * n_bytes);
      for (unsigned char& byte : table) byte = static_cast<unsigned char>(random.below(256));
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        std::vector<std::uint32_t> codes(n, 99);
        simd::loops().row_codes(from.get(), stride, n, m, 4, codes.data());
        CHECK(codes == expected);
        const auto out = std::make_unique<unsigned char[]>(n * n_bytes);
        simd::loops().copy_records(table.data(), n_bytes, codes.data(), n, out.get());
        for (std::size_t r = 0; r < n; ++r) {
          CHECK(std::memcmp(out.get() + r * n_bytes, table.data() + codes[r] * n_bytes, n_bytes) ==
                0);
        }
      }
    }
  }
}

TEST_CASE("softmax is exp(x) over the sum of exp(x) to 5 units in the last place") {
  // Two vectors with scores 0 and x: 2 units for exp(x), and half a one for each of the sum, its
  // inverse, the product and the comparison.
  constexpr std::size_t n = 4001;
  std::vector<double> scores(2 * n, 0.0);
  for (std::size_t r = 0; r < n; ++r) {
    scores[n + r] = -708.0 * static_cast<double>(r) / static_cast<double>(n - 1);
  }
  std::vector<double> first_bits;
  for (const std::string& level : simd_levels()) {
    CAPTURE(level);
    const WithSimdLevel with(level);
    const auto p = exact(scores);
    simd::loops().softmax(p.get(), 2, n, n);
    double worst = 0;
    for (std::size_t r = 0; r < n; ++r) {
      const long double e = std::exp(static_cast<long double>(scores[n + r]));
      const long double expected[] = {1 / (1 + e), e / (1 + e)};
      for (std::size_t y = 0; y < 2; ++y) {
        const auto error = static_cast<double>(std::fabs(p[y * n + r] / expected[y] - 1));
        worst = std::max(worst, error);
      }
    }
    CHECK(worst < 5 * 0x1p-53 * 2);
    const std::vector<double> bits(p.get(), p.get() + 2 * n);
    if (first_bits.empty()) first_bits = bits;
    CHECK(bits == first_bits);
  }
}

TEST_CASE("the logarithm of a sum of exponentials is right to 3 units in the last place") {
  // 2 units for each exponential and the logarithm's own, of numbers up to 1 or the logarithm.
  constexpr std::size_t n = 500;
  std::vector<double> first_bits;
  for (const std::size_t k : {1, 2, 3, 40}) {
    Random random(k);
    std::vector<double> scores(k * n);
    for (double& score : scores) score = random.uniform(-30, 30);
    first_bits.clear();
    for (const std::string& level : simd_levels()) {
      CAPTURE(level);
      const WithSimdLevel with(level);
      const auto p = exact(scores), plain = exact(scores);
      std::vector<double> logs(n);
      simd::loops().softmax_with_logs(p.get(), k, n, n, logs.data());
      double worst = 0, worst_share = 0;
      simd::loops().softmax(plain.get(), k, n, n);
      for (std::size_t r = 0; r < n; ++r) {
        long double total = 0, largest = scores[r];
        for (std::size_t y = 0; y < k; ++y) {
          total += std::exp(static_cast<long double>(scores[y * n + r]));
          largest = std::fmax(largest, static_cast<long double>(scores[y * n + r]));
        }
        const auto error = static_cast<double>(std::fabs(logs[r] - std::log(total)));
        worst = std::fmax(worst, error / std::fmax(1.0, static_cast<double>(std::fabs(largest))));
        for (std::size_t y = 0; y < k; ++y) {
          worst_share = std::fmax(worst_share, std::fabs(p[y * n + r] - plain[y * n + r]));
        }
      }
      CHECK(worst < 3 * 0x1p-53 * 2);
      CHECK(worst_share < 0x1p-50);
      if (first_bits.empty()) first_bits = logs;
      CHECK(logs == first_bits);
    }
  }
}

TEST_CASE("values are added to the lane of their row and their state") {
  constexpr std::size_t m = 3, k = 2, n_groups = 3, n = 64 * n_groups, stride = n + 64;
  for (const int n_states : {2, 3, 9}) {
    Random random(static_cast<std::uint64_t>(n_states));
    std::vector<std::uint8_t> states((m - 1) * stride + n);
    for (std::uint8_t& state : states) state = static_cast<std::uint8_t>(random.below(n_states));
    std::vector<double> values(k * stride);
    for (double& value : values) value = random.uniform(0, 1);
    std::vector<double> before(8 * m * static_cast<std::size_t>(n_states) * k);
    for (double& lane : before) lane = random.uniform(0, 1);
    std::vector<double> expected = before;
    for (std::size_t j = 0; j < m; ++j) {
      for (std::size_t r = 0; r < n; ++r) {
        const std::size_t s = states[j * stride + r];
        if (s == 0) continue;
        for (std::size_t y = 0; y < k; ++y) {
          const std::size_t at = (j * static_cast<std::size_t>(n_states) + s) * k + y;
          expected[8 * at + r % 8] += values[y * stride + r];
        }
      }
    }
    const auto from = exact(states);
    for (const std::string& level : simd_levels()) {
      CAPTURE(level);
      const WithSimdLevel with(level);
      const auto lanes = exact(before);
      simd::loops().add_by_state(from.get(), stride, n_groups, m, n_states, values.data(), k,
                                 stride, lanes.get());
      CHECK(std::equal(expected.begin(), expected.end(), lanes.get()));
    }
  }
}

TEST_CASE("numbers are split into bytes and added to their states exactly, at every shape") {
  constexpr std::size_t m = 3;
  for (const std::size_t n : {1, 15, 16, 63, 64, 65, 200, 1000}) {
    for (const int n_states : {1, 2, 3, 4, 6, 16}) {
      Random random(n * 20 + static_cast<std::size_t>(n_states));
      const std::size_t stride = (n + 63) / 64 * 64;
      std::vector<std::uint8_t> states(m * stride, 0);
      std::vector<double> values(n);
      std::vector<std::uint64_t> fixed(n);
      std::uint64_t total = 0;
      for (std::size_t r = 0; r < n; ++r) {
        values[r] = r == 0 ? 1.0 : random.uniform();
        fixed[r] = static_cast<std::uint64_t>(std::nearbyint(values[r] * 0x1p31));
        total += fixed[r];
      }
      const std::size_t n_cells = m * static_cast<std::size_t>(n_states);
      std::vector<std::uint64_t> sums(2 * n_cells, 7), counts(n_cells, 7);
      std::vector<std::uint64_t> expected_sums = sums, expected_counts = counts;
      for (std::size_t j = 0; j < m; ++j) {
        for (std::size_t r = 0; r < n; ++r) {
          const auto state = static_cast<std::size_t>(random.below(n_states));
          states[j * stride + r] = static_cast<std::uint8_t>(state);
          if (state == 0) continue;
          const std::size_t cell = j * static_cast<std::size_t>(n_states) + state;
          expected_sums[2 * cell] += fixed[r];
          ++expected_counts[cell];
        }
      }
      const auto from = exact(states);
      const auto doubles = exact(values);
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        const auto bytes = exact(std::vector<std::uint8_t>(4 * stride, 0xee));
        CHECK(simd::loops().split_fixed(doubles.get(), n, bytes.get(), stride) == total);
        for (std::size_t r = 0; r < stride; ++r) {
          std::uint64_t joined = 0;
          for (std::size_t b = 4; b-- > 0;) joined = joined << 8 | bytes[b * stride + r];
          REQUIRE(joined == (r < n ? fixed[r] : 0));
        }
        std::vector<std::uint64_t> own_sums = sums, own_counts = counts;
        simd::loops().add_fixed_by_state(from.get(), stride, stride / 64, m, n_states, bytes.get(),
                                         stride, own_sums.data(), 2);
        CHECK(own_sums == expected_sums);
        simd::loops().count_states(from.get(), stride, stride / 64, m, n_states, own_counts.data());
        CHECK(own_counts == expected_counts);
      }
    }
  }
}

TEST_CASE("the largest numbers that there may be overflow nothing when they are added") {
  constexpr std::size_t n = 4096;
  const std::vector<std::uint8_t> states(n, 1), bytes(4 * n, 0xff);
  for (const std::string& level : simd_levels()) {
    CAPTURE(level);
    const WithSimdLevel with(level);
    std::uint64_t sums[2] = {0, 0};
    simd::loops().add_fixed_by_state(states.data(), n, n / 64, 1, 2, bytes.data(), n, sums, 1);
    CHECK(sums[1] == n * std::uint64_t{0xffffffff});
  }
}

TEST_CASE("logistic_with_log gives the probability and sums the logs, with the same bits") {
  for (const std::size_t n : {0, 1, 15, 16, 17, 100, 4096}) {
    CAPTURE(n);
    Random random(n + 1);
    std::vector<double> differences(n);
    for (double& d : differences) d = random.uniform(-50, 50);
    if (n > 20) {
      differences[3] = 0.0;
      differences[4] = 2000.0;
      differences[5] = -2000.0;
    }
    long double expected = 0;
    for (const double d : differences) {
      expected += std::fmax(d, 0.0) + std::log1p(std::exp(-std::fabs(static_cast<long double>(d))));
    }
    std::vector<double> first;
    double first_sum = 0;
    for (const std::string& level : simd_levels()) {
      CAPTURE(level);
      const WithSimdLevel with(level);
      const auto p = exact(differences);
      const double sum = simd::loops().logistic_with_log(p.get(), n);
      CHECK(std::fabs(sum - expected) <= 1e-14 * std::fabs(expected));
      for (std::size_t r = 0; r < n; ++r) {
        const long double share = 1 / (1 + std::exp(-static_cast<long double>(differences[r])));
        REQUIRE(std::fabs(p[r] - share) <= 1e-15 * share + 1e-300);
      }
      const std::vector<double> found(p.get(), p.get() + n);
      if (first.empty()) {
        first = found;
        first_sum = sum;
      }
      CHECK(found == first);
      CHECK(sum == first_sum);
    }
  }
}

TEST_CASE("shares and weighted sums are those of plain loops, at every shape") {
  for (const std::size_t k : {1, 2, 3, 9}) {
    for (const std::size_t n : {1, 3, 15, 16, 17, 64}) {
      CAPTURE(k);
      CAPTURE(n);
      Random random(10 * k + n);
      const std::size_t stride = n + 3;
      std::vector<double> counts(k * stride), before(k * stride), divided(k * stride),
          sums(k * stride);
      for (double& count : counts) count = random.uniform(0, 3);
      for (double& value : before) value = random.uniform(0, 3);
      divided = counts;
      sums = before;
      for (std::size_t r = 0; r < n; ++r) {
        double total = 0;
        for (std::size_t y = 0; y < k; ++y) total += counts[y * stride + r];
        for (std::size_t y = 0; y < k; ++y) {
          divided[y * stride + r] = counts[y * stride + r] / total;
          sums[y * stride + r] += 0.3 * counts[y * stride + r];
        }
      }
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        const auto shared = exact(counts), added = exact(before);
        simd::loops().shares(shared.get(), k, stride, n);
        simd::loops().add_weighted(counts.data(), k, stride, n, 0.3, added.get());
        CHECK(std::equal(divided.begin(), divided.end(), shared.get()));
        CHECK(std::equal(sums.begin(), sums.end(), added.get()));
      }
    }
  }
}

TEST_CASE("softmax gives the same bits by every instruction set, at every shape") {
  for (const std::size_t k : {1, 2, 3, 8, 13}) {
    for (const std::size_t n : {1, 15, 16, 17, 40}) {
      Random random(k * 100 + n);
      const std::size_t stride = (n + 63) / 64 * 64;
      std::vector<double> scores((k - 1) * stride + n);
      for (double& score : scores) score = random.uniform(-900, 900);
      std::vector<double> first_bits;
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        const auto p = exact(scores);
        simd::loops().softmax(p.get(), k, stride, n);
        const std::vector<double> bits(p.get(), p.get() + scores.size());
        if (first_bits.empty()) first_bits = bits;
        CHECK(std::memcmp(bits.data(), first_bits.data(), bits.size() * sizeof(double)) == 0);
      }
    }
  }
}

}  // namespace
}  // namespace consilience::test
