#include "consilience/states.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "consilience/errors.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

const Index kOddItems[] = {1, 15, 16, 17, 63, 64, 65, 4095, 4096, 4097};
const Index kOddSources[] = {1, 2, 15, 16, 17, 31, 33};

/// States of all items, row by row, read in tiles of `n_rows`; -1 in the place of a bad padding.
std::vector<std::int32_t> read_tiles(const VoteView& votes, const StateCoding& coding,
                                     Index n_rows) {
  const StateReader reader(votes, coding);
  const Index n_columns = reader.n_columns();
  std::vector<std::int32_t> states(static_cast<std::size_t>(votes.n_items * n_columns));
  StateTile tile;
  for (Index begin = 0; begin < votes.n_items; begin += n_rows) {
    const Index n = std::min(n_rows, votes.n_items - begin);
    reader.read(begin, n, tile);
    for (Index j = 0; j < n_columns; ++j) {
      for (Index r = 0; r < tile.stride; ++r) {
        const std::int32_t state = tile.source(j)[r];
        if (r < n) {
          states[static_cast<std::size_t>((begin + r) * n_columns + j)] = state;
        } else if (state != 0) {
          return {-1};
        }
      }
    }
  }
  return states;
}

/// The same from lists of votes; -1 in the place of a list that is not by increasing source.
std::vector<std::int32_t> read_lists(const VoteView& votes, const StateCoding& coding,
                                     Index n_rows) {
  const StateReader reader(votes, coding);
  const Index n_columns = reader.n_columns();
  std::vector<std::int32_t> states(static_cast<std::size_t>(votes.n_items * n_columns), 0);
  StateRows rows;
  for (Index begin = 0; begin < votes.n_items; begin += n_rows) {
    const Index n = std::min(n_rows, votes.n_items - begin);
    reader.read(begin, n, rows);
    if (static_cast<Index>(rows.start.size()) != n + 1) return {-1};
    for (Index r = 0; r < n; ++r) {
      std::int32_t previous = -1;
      for (std::int32_t v = rows.start[static_cast<std::size_t>(r)];
           v < rows.start[static_cast<std::size_t>(r) + 1]; ++v) {
        const auto at = static_cast<std::size_t>(v);
        if (rows.source[at] <= previous || rows.state[at] == 0) return {-1};
        previous = rows.source[at];
        states[static_cast<std::size_t>((begin + r) * n_columns + previous)] = rows.state[at];
      }
    }
  }
  return states;
}

TEST_CASE("a tile holds label + 1, whatever the element type and the strides of the table") {
  const Labels with_abstentions = random_labels(1, 150, 7, {5});
  const Labels without = random_labels(2, 150, 7, {5}, 1.0);
  const StateCoding coding = StateCoding::of_one_task(5);
  for (const Layout& layout : every_layout(150, 7)) {
    CAPTURE(layout.name);
    for (const IntType type : kSigned) {
      const HeldVotes votes = dense_votes(with_abstentions, type, layout);
      CHECK(read_tiles(votes.view, coding, 64) == states_of_one_task(with_abstentions));
    }
    for (const IntType type : kUnsigned) {
      const HeldVotes votes = dense_votes(without, type, layout);
      CHECK(read_tiles(votes.view, coding, 64) == states_of_one_task(without));
    }
  }
}

TEST_CASE("row lists hold the votes, whatever the element type and the strides of the table") {
  const Labels with_abstentions = random_labels(3, 150, 7, {5}, 0.4);
  const Labels without = random_labels(4, 150, 7, {5}, 1.0);
  const StateCoding coding = StateCoding::of_one_task(5);
  for (const Layout& layout : every_layout(150, 7)) {
    CAPTURE(layout.name);
    for (const IntType type : kSigned) {
      const HeldVotes votes = dense_votes(with_abstentions, type, layout);
      CHECK(read_lists(votes.view, coding, 64) == states_of_one_task(with_abstentions));
    }
    for (const IntType type : kUnsigned) {
      const HeldVotes votes = dense_votes(without, type, layout);
      CHECK(read_lists(votes.view, coding, 64) == states_of_one_task(without));
    }
  }
}

TEST_CASE("a CSR table reads as the dense one, whatever its types and explicit zeros") {
  const Labels labels = random_labels(5, 150, 9, {4}, 0.3);
  const StateCoding coding = StateCoding::of_one_task(4);
  for (const IntType index_type : {IntType::i32, IntType::i64, IntType::u32, IntType::u64}) {
    for (const IntType data_type : {IntType::i8, IntType::u8, IntType::i16, IntType::i64}) {
      for (const Zeros zeros : {Zeros::absent, Zeros::every_other_one_stored}) {
        const HeldVotes votes = sparse_votes(labels, index_type, data_type, zeros);
        CHECK(read_tiles(votes.view, coding, 64) == states_of_one_task(labels));
        CHECK(read_lists(votes.view, coding, 64) == states_of_one_task(labels));
      }
    }
  }
}

TEST_CASE("read_states gives every item's states, for any number of threads") {
  const StateCoding coding = StateCoding::of_one_task(5);
  for (const Index n : {Index{0}, Index{1}, Index{150}, Index{9000}}) {
    CAPTURE(n);
    const Labels labels = random_labels(6, n, 7, {5}, 0.4);
    const HeldVotes dense = dense_votes(labels);
    const HeldVotes sparse = sparse_votes(labels, IntType::i32, IntType::i8, Zeros::absent);
    for (const int n_threads : {1, 2, 3}) {
      for (const VoteView* view : {&dense.view, &sparse.view}) {
        CHECK(read_states(StateReader(*view, coding), {n_threads, {}}) ==
              states_of_one_task(labels));
      }
    }
  }
}

TEST_CASE("tables that end where their memory ends are read within it, at every odd shape") {
  const StateCoding coding = StateCoding::of_one_task(3);
  for (const Index n : kOddItems) {
    for (const Index m : kOddSources) {
      CAPTURE(n);
      CAPTURE(m);
      const Labels labels = random_labels(static_cast<std::uint64_t>(100 * n + m), n, m, {3});
      const std::vector<std::int32_t> expected = states_of_one_task(labels);
      const HeldVotes by_row = dense_votes(labels);
      for (const std::string& level : simd_levels()) {
        CAPTURE(level);
        const WithSimdLevel with(level);
        CHECK(read_tiles(by_row.view, coding, 4096) == expected);
      }
      CHECK(read_lists(by_row.view, coding, 4096) == expected);
      const HeldVotes wider = dense_votes(labels, IntType::i8, {"a slice", m + 3, 1});
      CHECK(read_tiles(wider.view, coding, 64) == expected);
      const HeldVotes by_source = dense_votes(labels, IntType::i8, {"Fortran order", 1, n});
      CHECK(read_tiles(by_source.view, coding, 4096) == expected);
      const HeldVotes sparse = sparse_votes(labels);
      CHECK(read_tiles(sparse.view, coding, 4096) == expected);
    }
  }
}

TEST_CASE("a row that stands for all of them, by a stride of 0, is read as often as asked") {
  const Labels one_row = random_labels(6, 1, 20, {3});
  HeldVotes votes = dense_votes(one_row, IntType::i8, {"one row", 0, 1});
  votes.view.n_items = 100;
  const std::vector<std::int32_t> row = states_of_one_task(one_row);
  std::vector<std::int32_t> expected;
  for (int i = 0; i < 100; ++i) expected.insert(expected.end(), row.begin(), row.end());
  CHECK(read_tiles(votes.view, StateCoding::of_one_task(3), 64) == expected);
}

TEST_CASE("tiles hold the largest labels of every byte-sized cardinality") {
  for (const std::int32_t cardinality : {127, 128, 200, 255}) {
    CAPTURE(cardinality);
    const StateCoding coding = StateCoding::of_one_task(cardinality);
    const Labels labels = random_labels(7, 200, 3, {cardinality}, 0.9);
    const HeldVotes wide = dense_votes(labels, IntType::i16);
    CHECK(read_tiles(wide.view, coding, 64) == states_of_one_task(labels));
    Labels narrow = labels;
    for (std::int64_t& label : narrow.tables[0]) label = std::min<std::int64_t>(label, 127);
    for (const Layout& layout : {c_order(3), Layout{"Fortran order", 1, 200}}) {
      const HeldVotes votes = dense_votes(narrow, IntType::i8, layout);
      CHECK(read_tiles(votes.view, coding, 64) == states_of_one_task(narrow));
    }
  }
}

TEST_CASE("several tasks read as the states of their vote vectors, few or many") {
  const std::vector<std::vector<std::int32_t>> cardinalities = {
      {2, 3, 4}, {200, 200, 100} /* more than a direct table holds */};
  for (const std::vector<std::int32_t>& of_tasks : cardinalities) {
    const Labels labels = random_labels(8, 300, 6, of_tasks, 0.5);
    const CodedStates coded = code_several_tasks(labels, 11);
    for (const Layout& layout : every_layout(300, 6)) {
      CAPTURE(layout.name);
      const HeldVotes dense = dense_votes(labels, IntType::i16, layout);
      CHECK(read_tiles(dense.view, coded.coding, 64) == coded.states);
      CHECK(read_lists(dense.view, coded.coding, 64) == coded.states);
    }
    const HeldVotes sparse =
        sparse_votes(labels, IntType::i64, IntType::i16, Zeros::every_other_one_stored);
    CHECK(read_tiles(sparse.view, coded.coding, 64) == coded.states);
    CHECK(read_lists(sparse.view, coded.coding, 64) == coded.states);
  }
}

TEST_CASE("keys that just fit into a byte, and keys that just do not, read alike") {
  // 16 x 16 = 256 keys, and 4 x 65 = 260; more rows than one block, in every layout.
  for (const auto& cardinalities : {std::vector<std::int32_t>{15, 15}, {3, 64}}) {
    const Labels labels = random_labels(31, 700, 3, cardinalities, 0.6);
    const CodedStates coded = code_several_tasks(labels, 200);
    const HeldVotes sparse = sparse_votes(labels);
    const VoteVectors expected = vote_vectors(sparse.view, {});
    for (const Layout& layout : every_layout(700, 3)) {
      CAPTURE(layout.name);
      const HeldVotes dense = dense_votes(labels, IntType::i8, layout);
      const VoteVectors found = vote_vectors(dense.view, {3, {}});
      CHECK(found.keys == expected.keys);
      CHECK(found.counts == expected.counts);
      StateTile tile;
      StateReader(dense.view, coded.coding).read(64, 500, tile);
      bool same = true;
      for (Index r = 0; r < 500; ++r) {
        for (Index j = 0; j < 3; ++j) {
          same &= tile.source(j)[r] == coded.states[static_cast<std::size_t>(3 * (r + 64) + j)];
        }
      }
      CHECK(same);
    }
  }
}

TEST_CASE("one task may be dense and another CSR") {
  const Labels labels = random_labels(9, 200, 5, {2, 3}, 0.5);
  const CodedStates coded = code_several_tasks(labels, 5);
  HeldVotes votes{{200, 5, {}, {2, 3}}, {}};
  votes.view.tables.emplace_back(dense_table(votes, labels, 0, IntType::i8, c_order(5)));
  votes.view.tables.emplace_back(
      sparse_table(votes, labels, 1, IntType::i32, IntType::i8, Zeros::absent));
  CHECK(read_tiles(votes.view, coded.coding, 64) == coded.states);
  CHECK(read_lists(votes.view, coded.coding, 64) == coded.states);
}

TEST_CASE("a vote vector that is not listed abstains") {
  for (const VoteKey n_keys : {VoteKey{12}, VoteKey{1} << 40}) {
    const StateCoding coding({5, 7}, {1, 2}, n_keys, 3);
    CHECK(coding(5) == 1);
    CHECK(coding(7) == 2);
    CHECK(coding(6) == 0);
  }
}

// --- sources read together ----------------------------------------------------------------------

TEST_CASE("a component's state is the sum of what its sources' states add to it") {
  const Labels one_task = random_labels(22, 300, 7, {3}, 0.5);
  const StateCoding identity = StateCoding::of_one_task(3);
  const Labels two_tasks = random_labels(23, 300, 7, {2, 3}, 0.5);
  const CodedStates coded = code_several_tasks(two_tasks, 4);
  const auto check = [](const Labels& labels, const StateCoding& coding,
                        const std::vector<std::int32_t>& states) {
    const CodedStates together = read_together(coding, states, 7);
    const HeldVotes dense = dense_votes(labels),
                    by_source = dense_votes(labels, IntType::i32, {"Fortran order", 1, 300}),
                    sparse = sparse_votes(labels, IntType::i32, IntType::i8,
                                          Zeros::every_other_one_stored);
    for (const VoteView& votes : {dense.view, by_source.view, sparse.view}) {
      CHECK(StateReader(votes, together.coding).n_columns() == 5);
      CHECK(read_tiles(votes, together.coding, 64) == together.states);
      CHECK(read_lists(votes, together.coding, 64) == together.states);
    }
  };
  check(one_task, identity, states_of_one_task(one_task));
  check(two_tasks, coded.coding, coded.states);
}

TEST_CASE("components that do not fit the sources or their states are refused") {
  const StateCoding coding = StateCoding::of_one_task(1);
  const Components fine{1, 4, {0, 1, 2}, {0, 0}, {0, 1, 0, 2}};
  CHECK_NOTHROW(coding.with_components(fine));
  const auto refuses = [&](const auto& change) {
    Components components = fine;
    change(components);
    CHECK_THROWS_AS(coding.with_components(components), std::invalid_argument);
  };
  refuses([](Components& c) { c.n_states = 3; });
  refuses([](Components& c) { c.contribution.push_back(0); });
  refuses([](Components& c) { c.contribution[0] = 1; });
  refuses([](Components& c) { c.contribution[1] = -1; });
  refuses([](Components& c) { c.component_of[1] = 1; });
  refuses([](Components& c) { c.component_of[1] = -1; });
  refuses([](Components& c) { c.start = {}; });
  refuses([](Components& c) { c.start = {0, 2, 1}; });
  refuses([](Components& c) { c.start = {1, 1, 2}; });
  refuses([](Components& c) { c.start = {0, 1, 1}; });

  const HeldVotes three_sources = dense_votes(random_labels(24, 10, 3, {1}));
  const StateCoding of_two = coding.with_components(fine);
  CHECK_THROWS_AS(StateReader(three_sources.view, of_two), std::invalid_argument);
}

// --- bad labels ---------------------------------------------------------------------------------

struct Place {
  Index task, row, source;
  std::int64_t label, cardinality;
  bool operator==(const Place&) const = default;
};

/// Where `call` finds a label out of range; a row of -1 if it does not.
template <class Call>
Place place_of_bad_label(Call&& call) {
  try {
    call();
  } catch (const LabelOutOfRange& error) {
    return {error.task, error.row, error.source, error.label, error.cardinality};
  }
  return {-1, -1, -1, -1, -1};
}

void check_place(const VoteView& votes, const StateCoding& coding, const Place& expected) {
  for (const int n_threads : {1, 2, 3}) {
    CAPTURE(n_threads);
    CHECK(place_of_bad_label([&] { largest_labels(votes, {n_threads, {}}); }) == expected);
    CHECK(place_of_bad_label([&] { vote_vectors(votes, {n_threads, {}}); }) == expected);
  }
  CHECK(place_of_bad_label([&] { read_tiles(votes, coding, 4096); }) == expected);
  CHECK(place_of_bad_label([&] { read_lists(votes, coding, 4096); }) == expected);
}

TEST_CASE("the first label out of range is reported, for any number of threads") {
  const StateCoding coding = StateCoding::of_one_task(3);
  for (const std::int64_t bad : {3, 127, -2, -128}) {
    CAPTURE(bad);
    Labels labels = random_labels(10, 30000, 4, {3});
    labels.at(0, 9000, 2) = bad;
    labels.at(0, 9000, 3) = 5;
    labels.at(0, 20000, 0) = 6;
    labels.at(0, 29999, 1) = -7;
    const Place expected{0, 9000, 2, bad, 3};
    check_place(dense_votes(labels).view, coding, expected);
    check_place(dense_votes(labels, IntType::i8, {"Fortran order", 1, 30000}).view, coding,
                expected);
    check_place(dense_votes(labels, IntType::i64).view, coding, expected);
    check_place(dense_votes(labels, IntType::i8, {"reversed", -4, -1}).view, coding, expected);
    check_place(sparse_votes(labels, IntType::i32, IntType::i16).view, coding, expected);
  }
}

TEST_CASE("a bad label in the last row of odd shapes is found by every instruction set") {
  const StateCoding coding = StateCoding::of_one_task(2);
  for (const Index n : {1, 15, 16, 17, 31, 65}) {
    for (const Index m : {1, 15, 16, 17}) {
      Labels labels = random_labels(11, n, m, {2});
      labels.at(0, n - 1, m - 1) = 2;
      const HeldVotes by_row = dense_votes(labels);
      const HeldVotes by_source = dense_votes(labels, IntType::i8, {"Fortran order", 1, n});
      for (const std::string& level : simd_levels()) {
        const WithSimdLevel with(level);
        for (const VoteView& votes : {by_row.view, by_source.view}) {
          CHECK(place_of_bad_label([&] { read_tiles(votes, coding, 64); }) ==
                Place{0, n - 1, m - 1, 2, 2});
        }
      }
    }
  }
}

TEST_CASE("a bad label of several tasks is reported with its task") {
  Labels labels = random_labels(12, 10000, 4, {2, 3}, 0.5);
  const CodedStates coded = code_several_tasks(labels, 4);
  labels.at(1, 5000, 3) = 3;
  labels.at(1, 9000, 0) = -9;
  const Place expected{1, 5000, 3, 3, 3};
  check_place(dense_votes(labels).view, coded.coding, expected);
  check_place(sparse_votes(labels).view, coded.coding, expected);
}

TEST_CASE("the most extreme integers are reported as labels out of range") {
  const StateCoding coding = StateCoding::of_one_task(2);
  for (const std::int64_t bad : {INT64_MAX, INT64_MIN, std::int64_t{1} << 32, INT64_MIN + 1}) {
    CAPTURE(bad);
    Labels labels = random_labels(13, 40, 3, {2}, 1.0);
    labels.at(0, 20, 1) = bad;
    check_place(dense_votes(labels, IntType::i64).view, coding, {0, 20, 1, bad, 2});
    // Stored as label + 1, of which the largest leaves no room.
    labels.at(0, 20, 1) = bad == INT64_MAX ? INT64_MAX - 1 : bad;
    check_place(sparse_votes(labels, IntType::i32, IntType::i64).view, coding,
                {0, 20, 1, labels.at(0, 20, 1), 2});
  }
  // An unsigned number that no int64 holds is reported as the largest one.
  Labels labels = random_labels(14, 40, 3, {2}, 1.0);
  labels.at(0, 20, 1) = -1;
  check_place(dense_votes(labels, IntType::u64).view, coding, {0, 20, 1, INT64_MAX, 2});
  check_place(dense_votes(labels, IntType::u8).view, coding, {0, 20, 1, 255, 2});
}

TEST_CASE("a stored CSR value whose label no int64 holds is a label out of range") {
  const Labels labels = random_labels(15, 10, 2, {2}, 1.0);
  const StateCoding coding = StateCoding::of_one_task(2);
  HeldVotes votes = sparse_votes(labels, IntType::i32, IntType::i64);
  store(IntType::i64, INT64_MIN, votes.arrays.back().get());
  const StateReader reader(votes.view, coding);
  StateTile tile;
  StateRows rows;
  CHECK_THROWS_AS(largest_labels(votes.view, {}), LabelOutOfRange);
  CHECK_THROWS_AS(reader.read(0, 10, tile), LabelOutOfRange);
  CHECK_THROWS_AS(reader.read(0, 10, rows), LabelOutOfRange);
}

// --- what occurs --------------------------------------------------------------------------------

TEST_CASE("largest_labels gives the largest label of each task, for any number of threads") {
  const Labels labels = random_labels(16, 20000, 3, {9, 4}, 0.001);
  std::vector<std::int64_t> largest;
  for (const std::vector<std::int64_t>& table : labels.tables) {
    largest.push_back(*std::max_element(table.begin(), table.end()));
  }
  const auto check = [&](const HeldVotes& votes) {
    for (const int n_threads : {1, 2, 3}) {
      CHECK(largest_labels(votes.view, {n_threads, {}}) == largest);
    }
  };
  for (const Layout& layout : every_layout(20000, 3)) {
    CAPTURE(layout.name);
    for (const IntType type : {IntType::i8, IntType::i32}) check(dense_votes(labels, type, layout));
  }
  check(sparse_votes(labels));
}

TEST_CASE("the largest label of an int8 table may be 127") {
  Labels labels = random_labels(17, 100, 3, {200});
  for (std::int64_t& label : labels.tables[0]) label = std::min<std::int64_t>(label, 126);
  labels.at(0, 99, 2) = 127;
  CHECK(largest_labels(dense_votes(labels).view, {}) == std::vector<std::int64_t>{127});
}

TEST_CASE("the largest label of no votes is -1") {
  const std::vector<std::int64_t> none{-1};
  CHECK(largest_labels(dense_votes(random_labels(17, 100, 3, {2}, 0.0)).view, {}) == none);
  CHECK(largest_labels(dense_votes(random_labels(18, 0, 3, {2})).view, {}) == none);
  CHECK(largest_labels(sparse_votes(random_labels(19, 0, 3, {2})).view, {}) == none);
}

TEST_CASE("vote_vectors counts what each source says, for any number of threads") {
  const Labels labels = random_labels(20, 12000, 5, {2, 3, 4}, 0.5);
  std::map<VoteKey, std::vector<std::int64_t>> expected;
  for (Index i = 0; i < labels.n_items; ++i) {
    for (Index j = 0; j < labels.n_sources; ++j) {
      const VoteKey key = key_at(labels, i, j);
      if (key == 0) continue;
      ++expected.try_emplace(key, 5, 0).first->second[static_cast<std::size_t>(j)];
    }
  }
  std::vector<VoteKey> keys;
  std::vector<std::int64_t> counts;
  for (const auto& [key, of_sources] : expected) {
    keys.push_back(key);
    counts.insert(counts.end(), of_sources.begin(), of_sources.end());
  }
  const HeldVotes dense = dense_votes(labels), sparse = sparse_votes(labels);
  for (const VoteView& votes : {dense.view, sparse.view}) {
    for (const int n_threads : {1, 2, 3}) {
      const VoteVectors found = vote_vectors(votes, {n_threads, {}});
      CHECK(found.keys == keys);
      CHECK(found.counts == counts);
    }
  }
}

TEST_CASE("vote_vectors of no items is empty") {
  const VoteVectors found = vote_vectors(dense_votes(random_labels(21, 0, 3, {2})).view, {3, {}});
  CHECK(found.keys.empty());
  CHECK(found.counts.empty());
}

TEST_CASE("key_strides are the products of the cardinalities before, each with its abstention") {
  CHECK(key_strides({2, 3, 4}) == std::vector<VoteKey>{1, 3, 12});
}

TEST_CASE("key_strides refuses tasks with more vote vectors than a key holds") {
  CHECK_NOTHROW(key_strides(std::vector<std::int32_t>(62, 1)));
  CHECK_THROWS_AS(key_strides(std::vector<std::int32_t>(63, 1)), std::invalid_argument);
}

// --- the structure of CSR tables ----------------------------------------------------------------

std::string complaint_about(const std::vector<std::int64_t>& indptr,
                            const std::vector<std::int64_t>& indices) {
  HeldVotes held{};
  const SparseTable table{int_array(held, IntType::i32, indptr),
                          int_array(held, IntType::i32, indices),
                          int_array(held, IntType::i8, std::vector<std::int64_t>(indices.size()))};
  try {
    check_sparse_structure(table, static_cast<Index>(indptr.size()) - 1, 4,
                           static_cast<Index>(indices.size()));
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("check_sparse_structure accepts sorted rows, empty ones too") {
  CHECK(complaint_about({0}, {}) == "");
  CHECK(complaint_about({0, 0, 2, 4}, {0, 3, 1, 2}) == "");
}

TEST_CASE("check_sparse_structure names the row that breaks a rule") {
  const auto names = [](const std::string& complaint, const std::string& words) {
    return complaint.find(words) != std::string::npos;
  };
  CHECK(names(complaint_about({1, 2}, {0, 1}), "row 0"));         // does not start at 0
  CHECK(names(complaint_about({0, 2, 1}, {0, 1}), "row 1"));      // decreases
  CHECK(names(complaint_about({0, 1, 3}, {0, 1}), "row 1"));      // passes the end
  CHECK(names(complaint_about({0, 1, 2}, {0, 4}), "got 4"));      // no such source
  CHECK(names(complaint_about({0, 1, 2}, {0, -1}), "got -1"));    // no such source
  CHECK(names(complaint_about({0, 1, 3}, {0, 2, 2}), "row 1"));   // twice the same
  CHECK(names(complaint_about({0, 1, 3}, {0, 2, 1}), "sorted"));  // not sorted
}

}  // namespace
}  // namespace consilience::test
