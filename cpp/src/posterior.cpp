#include "consilience/posterior.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "blocks.hpp"
#include "consilience/parallel.hpp"
#include "row_index.hpp"
#include "simd/loops.hpp"

namespace consilience {
namespace {

// Above, looking up every entry costs more than listing the votes.
constexpr std::int32_t kMaxTileStates = 16;
constexpr Index kMaxTileVectors = 8;
constexpr Index kPaddedStates = 16;  // what `add_looked_up` reads of a table

std::size_t size(Index n) { return static_cast<std::size_t>(n); }

/// Rows that are scored together: those of a tile from `tile` on, or listed ones.
struct Group {
  Index n;
  const std::uint8_t* tile;
  Index stride;
  const std::int64_t* start;
  const std::int32_t* source;
  const std::int32_t* state;
};

/// A block of rows as the scorer takes it: by column, or row by row.
struct StateBlock {
  Index n_rows = 0;
  StateTile tile;
  StateRows rows;

  /// Rows [first, first + n).
  Group group(Index first, Index n) const {
    const bool listed = !rows.start.empty();
    return {n,
            tile.states.data() + first,
            tile.stride,
            listed ? rows.start.data() + first : nullptr,
            rows.source.data(),
            rows.state.data()};
  }
};

/// A score table as the kernels take it; read only, shared by all workers.
///
/// Two ways to the same bits: both add a column's entries in the order of the columns, and an
/// abstention adds 0 or nothing.
class Scores {
 public:
  Scores(const StateReader& reader, const ScoreTable& table)
      : n_vectors_(table.n_vectors),
        n_states_(reader.coding().n_states()),
        n_columns_(reader.n_columns()),
        by_tile_(reader.fits_tiles() && !reader.is_sparse() && n_states_ <= kMaxTileStates &&
                 n_vectors_ <= kMaxTileVectors),
        width_((n_vectors_ + 3) / 4 * 4),
        base_(size(width_), 0.0) {
    const Index k = n_vectors_;
    if (static_cast<Index>(table.of_state.size()) != n_columns_ * n_states_ * k ||
        static_cast<Index>(table.base.size()) != k) {
      throw std::invalid_argument("the score table must be (n_sources, n_states, n_vectors)");
    }
    // Softmax scores are taken relative to the first vector, whose own score is then 0.
    first_ = table.link == Link::softmax ? 1 : 0;
    for (Index y = 0; y < k; ++y) {
      base_[size(y)] = table.base[size(y)] - (first_ == 1 ? table.base[0] : 0);
    }
    const Index n_tables = by_tile_ ? n_columns_ * k * kPaddedStates : 0;
    by_vector_.assign(size(n_tables), 0.0);
    by_vote_.assign(size(by_tile_ ? 0 : n_columns_ * n_states_ * width_), 0.0);
    for (Index j = 0; j < n_columns_; ++j) {
      for (Index s = 1; s < n_states_; ++s) {
        const double* entries = table.of_state.data() + (j * n_states_ + s) * k;
        for (Index y = 0; y < k; ++y) {
          const double entry = entries[y] - (first_ == 1 ? entries[0] : 0);
          if (by_tile_) {
            by_vector_[size((y * n_columns_ + j) * kPaddedStates + s)] = entry;
          } else {
            by_vote_[size((j * n_states_ + s) * width_ + y)] = entry;
          }
        }
      }
    }
  }

  Index n_vectors() const { return n_vectors_; }
  Index n_columns() const { return n_columns_; }
  std::int32_t n_states() const { return n_states_; }
  bool by_tile() const { return by_tile_; }
  /// Rows scored at a time: their scores stay in the first cache.
  Index group() const { return by_tile_ ? 64 : 16; }
  /// Doubles that the scores of a group take.
  Index n_cells() const { return width_ * group(); }

  /// Scores of a group of rows: entry (y, r) at scores[y * group() + r].
  void score(const Group& rows, double* scores) const {
    if (!by_tile_) {
      simd::loops().add_votes(rows.start, rows.source, rows.state, size(rows.n), n_states_,
                              by_vote_.data(), base_.data(), size(width_), scores, size(group()));
      return;
    }
    if (first_ == 1) std::fill_n(scores, rows.n, base_[0]);
    for (Index y = first_; y < n_vectors_; ++y) {
      simd::loops().add_looked_up(rows.tile, size(rows.stride), size(rows.n), size(n_columns_),
                                  by_vector_.data() + y * n_columns_ * kPaddedStates,
                                  size(kPaddedStates), n_states_, base_[size(y)],
                                  scores + y * group());
    }
  }

 private:
  Index n_vectors_;
  std::int32_t n_states_;
  Index n_columns_;
  bool by_tile_;
  Index width_;
  Index first_ = 0;
  std::vector<double> base_;       // (width,)
  std::vector<double> by_vector_;  // (K, n_columns, padded states), that of state 0 zero
  std::vector<double> by_vote_;    // (n_columns, n_states, width), that of state 0 zero
};

/// What answers are read off, for a group of rows.
enum class Column : std::uint8_t {
  probability,  // of each vector: the mean of the posteriors of all score tables
  rank,         // the same, or of a single table its scores, which rank the vectors likewise
};

/// The score tables together, (n_vectors, group()) for each group of rows.
class Mixture {
 public:
  Mixture(const StateReader& reader, const std::vector<WeightedScores>& parts, Column column)
      : is_rank_(column == Column::rank && parts.size() == 1) {
    double total = 0;
    for (const WeightedScores& part : parts) {
      if (!(part.weight > 0)) throw std::invalid_argument("weights must be positive");
      if (part.scores.n_vectors != parts[0].scores.n_vectors) {
        throw std::invalid_argument("score tables must be over the same vectors");
      }
      total += part.weight;
      parts_.push_back({part.weight, Scores(reader, part.scores), part.scores.link});
    }
    if (!(std::fabs(total - 1) <= 1e-9)) throw std::invalid_argument("weights must sum to 1");
  }

  Index n_tables() const { return static_cast<Index>(parts_.size()); }
  /// Tables have the same layout, as it depends on the votes and the number of vectors alone.
  const Scores& first() const { return parts_[0].scores; }
  Index group() const { return first().group(); }
  /// Doubles that a group takes, with room to work in.
  Index n_cells() const { return first().n_cells() * (n_tables() > 1 ? 2 : 1); }

  void fill(const Group& rows, double* cells) const {
    if (n_tables() == 1) {
      parts_[0].scores.score(rows, cells);
      if (!is_rank_) link(parts_[0], rows.n, cells);
      return;
    }
    double* of_part = cells + first().n_cells();
    std::fill_n(cells, first().n_cells(), 0.0);
    for (const Part& part : parts_) {
      part.scores.score(rows, of_part);
      link(part, rows.n, of_part);
      simd::loops().add_weighted(of_part, size(first().n_vectors()), size(group()), size(rows.n),
                                 part.weight, cells);
    }
  }

 private:
  struct Part {
    double weight;
    Scores scores;
    Link link;
  };

  void link(const Part& part, Index n, double* scores) const {
    const auto to_probabilities =
        part.link == Link::softmax ? simd::loops().softmax : simd::loops().shares;
    to_probabilities(scores, size(first().n_vectors()), size(group()), size(n));
  }

  bool is_rank_;
  std::vector<Part> parts_;
};

/// One of the arrays that are filled, a record an item.
struct Output {
  Index record_bytes;
  std::byte* out;
};

/// Probabilities to marginals.
class Probabilities {
 public:
  Probabilities(const std::vector<Marginal>& marginals, Index n_vectors)
      : marginals_(marginals), n_vectors_(n_vectors) {
    for (const Marginal& marginal : marginals) {
      bool one_each = n_vectors_ == marginal.n_classes;  // every class is one vector, in order
      for (Index y = 0; y < n_vectors_; ++y) {
        one_each &= marginal.class_of_vector[size(y)] == y;
      }
      one_each_.push_back(one_each);
      outputs_.push_back(std::visit(
          [&](auto* out) {
            return Output{marginal.n_classes * static_cast<Index>(sizeof(*out)),
                          reinterpret_cast<std::byte*>(out)};
          },
          marginal.out));
    }
  }

  const std::vector<Output>& outputs() const { return outputs_; }

  /// Records of n rows to `places`, one an output.
  void write(const double* probabilities, Index stride, Index n, std::byte* const* places) const {
    std::vector<double> sums;
    for (std::size_t o = 0; o < marginals_.size(); ++o) {
      const Marginal& marginal = marginals_[o];
      const double* columns = probabilities;
      if (!one_each_[o]) {
        sums.assign(size(marginal.n_classes * stride), 0.0);
        for (Index y = 0; y < n_vectors_; ++y) {
          double* of_class = sums.data() + marginal.class_of_vector[size(y)] * stride;
          for (Index r = 0; r < n; ++r) of_class[r] += probabilities[y * stride + r];
        }
        columns = sums.data();
      }
      const std::size_t k = size(marginal.n_classes);
      if (std::holds_alternative<double*>(marginal.out)) {
        simd::loops().interleave(columns, k, size(stride), size(n),
                                 reinterpret_cast<double*>(places[o]));
      } else {
        simd::loops().interleave_rounded(columns, k, size(stride), size(n),
                                         reinterpret_cast<float*>(places[o]));
      }
    }
  }

 private:
  const std::vector<Marginal>& marginals_;
  Index n_vectors_;
  std::vector<bool> one_each_;
  std::vector<Output> outputs_;
};

/// Scores or probabilities to the preferred vector.
class Labels {
 public:
  Labels(const std::vector<std::int32_t>& preference, std::int64_t* out)
      : preference_(preference), outputs_{{8, reinterpret_cast<std::byte*>(out)}} {}

  const std::vector<Output>& outputs() const { return outputs_; }

  void write(const double* scores, Index stride, Index n, std::byte* const* places) const {
    constexpr double tie = 1e-9;
    simd::loops().first_of_highest(scores, preference_.size(), size(stride), size(n),
                                   preference_.data(), tie,
                                   reinterpret_cast<std::int64_t*>(places[0]));
  }

 private:
  const std::vector<std::int32_t>& preference_;
  std::vector<Output> outputs_;
};

/// Tables of records, one an output.
class Records {
 public:
  explicit Records(const std::vector<Output>& outputs) : outputs_(&outputs), of_(outputs.size()) {}

  void resize(Index n) {
    for (std::size_t o = 0; o < of_.size(); ++o)
      of_[o].resize(size(n * (*outputs_)[o].record_bytes));
  }
  std::vector<std::byte*> at(Index row) {
    std::vector<std::byte*> places;
    for (std::size_t o = 0; o < of_.size(); ++o) {
      places.push_back(of_[o].data() + row * (*outputs_)[o].record_bytes);
    }
    return places;
  }
  std::size_t n_bytes() const {
    std::size_t n = 0;
    for (const std::vector<std::byte>& records : of_) n += records.capacity();
    return n;
  }
  /// Record codes[r] of every table to item begin + r.
  void copy_out(const std::uint32_t* codes, Index begin, Index n) const {
    for (std::size_t o = 0; o < of_.size(); ++o) {
      simd::loops().copy_records(reinterpret_cast<const unsigned char*>(of_[o].data()),
                                 size((*outputs_)[o].record_bytes), codes, size(n),
                                 reinterpret_cast<unsigned char*>(
                                     (*outputs_)[o].out + begin * (*outputs_)[o].record_bytes));
    }
  }

 private:
  const std::vector<Output>* outputs_;
  std::vector<std::vector<std::byte>> of_;
};

/// Rows that there can be, at most `limit + 1`.
Index count_possible_rows(const Scores& scores, Index limit) {
  Index n = 1;
  for (Index j = 0; j < scores.n_columns() && n <= limit; ++j) n *= scores.n_states();
  return std::min(n, limit + 1);
}

/// The rows with codes [begin, begin + n_rows): see `row_codes`.
void make_rows(const Scores& scores, Index begin, Index n_rows, StateBlock& block) {
  const Index m = scores.n_columns();
  const std::int32_t n_states = scores.n_states();
  block.n_rows = n_rows;
  block.tile.n_rows = n_rows;
  block.tile.stride = StateTile::stride_for(n_rows);
  block.tile.states.assign(size(scores.by_tile() ? m * block.tile.stride : 0), 0);
  block.rows = {};
  block.rows.start.assign(1, 0);
  std::vector<std::int32_t> states(size(m));  // the digits of a code
  for (Index j = m, rest = begin; j-- > 0; rest /= n_states) {
    states[size(j)] = static_cast<std::int32_t>(rest % n_states);
  }
  for (Index r = 0; r < n_rows; ++r) {
    for (Index j = 0; j < m; ++j) {
      if (scores.by_tile()) {
        block.tile.states[size(j * block.tile.stride + r)] =
            static_cast<std::uint8_t>(states[size(j)]);
      } else if (states[size(j)] != 0) {
        block.rows.source.push_back(static_cast<std::int32_t>(j));
        block.rows.state.push_back(states[size(j)]);
      }
    }
    if (!scores.by_tile()) {
      block.rows.start.push_back(static_cast<std::int64_t>(block.rows.source.size()));
    }
    for (Index j = m; j-- > 0;) {  // the next code
      if (++states[size(j)] < n_states) break;
      states[size(j)] = 0;
    }
  }
}

/// Fills the outputs of `answers`, one of the classes above, for every item.
template <class Answers>
class Answering {
 public:
  Answering(const StateReader& reader, const Mixture& mixture, const Answers& answers,
            const Execution& execution)
      : reader_(reader),
        mixture_(mixture),
        scores_(mixture.first()),
        answers_(answers),
        execution_(execution),
        blocks_(reader.votes(), std::min<Index>(kRows, Blocks(reader.votes()).rows)) {
    for (const Output& output : answers.outputs()) record_bytes_ += output.record_bytes;
    n_possible_ = count_possible_rows(scores_, kMaxAnswerTable / record_bytes_);
  }

  void run(RowStrategy strategy) {
    if (strategy == RowStrategy::automatic) strategy = choose();
    if (strategy == RowStrategy::possible_rows) {
      if (n_possible_ * record_bytes_ > kMaxAnswerTable) {
        throw std::invalid_argument("the answers to all possible rows need more than " +
                                    std::to_string(kMaxAnswerTable) + " bytes");
      }
      answer_from_possible_rows();
    } else {
      answer_rows(strategy == RowStrategy::distinct_rows);
    }
  }

 private:
  static constexpr Index kRows = 1024;

  RowStrategy choose() const {
    const Index n = reader_.votes().n_items;
    // A row of the table costs about as much as a few items; a table beyond the second cache is no
    // faster than two or three additions of a column each, which every score table takes.
    const bool cheap_rows = scores_.by_tile();
    const Index largest =
        cheap_rows ? std::min(mixture_.n_tables() << 20, kMaxAnswerTable) : kMaxAnswerTable;
    if (8 * n_possible_ <= n && n_possible_ * record_bytes_ <= largest) {
      return RowStrategy::possible_rows;
    }
    if (!cheap_rows && n >= kMinItemsToHash && scores_.n_vectors() >= kMinVectorsToHash) {
      return RowStrategy::distinct_rows;
    }
    return RowStrategy::every_item;
  }

  void read(Index block, StateBlock& into) const {
    into.n_rows = blocks_.size(block);
    if (scores_.by_tile()) {
      reader_.read(blocks_.begin(block), into.n_rows, into.tile);
    } else {
      reader_.read(blocks_.begin(block), into.n_rows, into.rows);
    }
  }

  /// Scores rows [first, last) of a block, and writes their records from `places` on.
  void answer(const StateBlock& block, std::vector<std::byte*> places,
              std::vector<double>& cells) const {
    for (Index first = 0; first < block.n_rows; first += mixture_.group()) {
      const Index n = std::min(mixture_.group(), block.n_rows - first);
      answer(block.group(first, n), places, cells);
    }
  }

  /// The same of a group, after which `places` are those of the next one.
  void answer(const Group& rows, std::vector<std::byte*>& places,
              std::vector<double>& cells) const {
    cells.resize(size(mixture_.n_cells()));
    mixture_.fill(rows, cells.data());
    answers_.write(cells.data(), mixture_.group(), rows.n, places.data());
    advance(places, rows.n);
  }

  void advance(std::vector<std::byte*>& places, Index n) const {
    for (std::size_t o = 0; o < places.size(); ++o) {
      places[o] += n * answers_.outputs()[o].record_bytes;
    }
  }

  std::vector<std::byte*> items_from(Index begin) const {
    std::vector<std::byte*> places;
    for (const Output& output : answers_.outputs()) places.push_back(output.out);
    advance(places, begin);
    return places;
  }

  // --- a table of all rows there can be

  void answer_from_possible_rows() {
    Records table(answers_.outputs());
    table.resize(n_possible_);
    const Blocks of_table(n_possible_, kRows);
    for_each_chunk(of_table.n, execution_, [&](Index block, int) {
      StateBlock rows;
      std::vector<double> cells;
      make_rows(scores_, of_table.begin(block), of_table.size(block), rows);
      answer(rows, table.at(of_table.begin(block)), cells);
    });
    std::vector<StateBlock> read_into(size(n_workers(blocks_.n, execution_)));
    for_each_chunk(blocks_.n, execution_, [&](Index block, int worker) {
      StateBlock& rows = read_into[size(worker)];
      read(block, rows);
      std::uint32_t codes[kRows];
      if (scores_.by_tile()) {
        simd::loops().row_codes(rows.tile.states.data(), size(rows.tile.stride), size(rows.n_rows),
                                size(scores_.n_columns()),
                                static_cast<std::uint32_t>(scores_.n_states()), codes);
      } else {
        code_lists(rows.rows, codes, rows.n_rows);
      }
      table.copy_out(codes, blocks_.begin(block), rows.n_rows);
    });
  }

  void code_lists(const StateRows& rows, std::uint32_t* codes, Index n_rows) const {
    std::vector<std::uint32_t> place(size(scores_.n_columns()), 1);
    for (Index j = scores_.n_columns() - 1; j-- > 0;) {
      place[size(j)] = place[size(j) + 1] * static_cast<std::uint32_t>(scores_.n_states());
    }
    for (Index r = 0; r < n_rows; ++r) {
      std::uint32_t code = 0;
      for (auto v = size(rows.start[size(r)]); v < size(rows.start[size(r) + 1]); ++v) {
        code += place[size(rows.source[v])] * static_cast<std::uint32_t>(rows.state[v]);
      }
      codes[r] = code;
    }
  }

  // --- item by item, or from a table of the rows met so far

  /// What one worker knows: the rows it has met, while that pays.
  struct Worker {
    explicit Worker(const std::vector<Output>& outputs) : answers(outputs) {}
    StateBlock block;
    std::vector<double> cells;
    bool remembers = false;
    RowIndex met;
    Records answers;
    Index n_seen = 0;
  };

  void answer_rows(bool remembers) {
    if (scores_.by_tile()) remembers = false;  // nothing is cheaper than the tile's look-ups
    std::vector<Worker> workers(size(n_workers(blocks_.n, execution_)), Worker(answers_.outputs()));
    for (Worker& worker : workers) worker.remembers = remembers;
    for_each_chunk(blocks_.n, execution_, [&](Index block, int w) {
      Worker& worker = workers[size(w)];
      read(block, worker.block);
      if (worker.remembers) {
        answer_from_met_rows(worker, blocks_.begin(block));
      } else {
        answer(worker.block, items_from(blocks_.begin(block)), worker.cells);
      }
    });
  }

  void answer_from_met_rows(Worker& worker, Index begin) const {
    const StateRows& rows = worker.block.rows;
    const Index n_known = worker.met.size();
    std::uint32_t codes[kRows];
    for (Index r = 0; r < worker.block.n_rows; ++r) {
      const std::int64_t start = rows.start[size(r)], n = rows.start[size(r) + 1] - start;
      codes[r] = static_cast<std::uint32_t>(
          worker.met.find_or_add(rows.source.data() + start, rows.state.data() + start, size(n)));
    }
    worker.answers.resize(worker.met.size());
    std::vector<std::byte*> places = worker.answers.at(n_known);
    for (Index first = n_known; first < worker.met.size(); first += mixture_.group()) {
      const Index n = std::min(mixture_.group(), worker.met.size() - first);
      answer({n, nullptr, 0, worker.met.start().data() + first, worker.met.columns().data(),
              worker.met.states().data()},
             places, worker.cells);
    }
    worker.answers.copy_out(codes, begin, worker.block.n_rows);
    worker.n_seen += worker.block.n_rows;
    const bool pays = worker.n_seen < kSample || kMinUses * worker.met.size() <= worker.n_seen;
    const std::size_t n_bytes = worker.met.n_bytes() + worker.answers.n_bytes();
    if (!pays || n_bytes > size(kMaxAnswerTable)) {
      worker.remembers = false;
      worker.met = RowIndex();
      worker.answers = Records(answers_.outputs());
    }
  }

  static constexpr Index kMinItemsToHash = 1 << 14;
  static constexpr Index kMinVectorsToHash = 4;
  static constexpr Index kSample = 1 << 13;  // rows a worker looks at before it judges
  static constexpr Index kMinUses = 3;       // items a distinct row must stand for, on average

  const StateReader& reader_;
  const Mixture& mixture_;
  const Scores& scores_;  // any one of them
  const Answers& answers_;
  const Execution& execution_;
  Blocks blocks_;
  Index record_bytes_ = 0;
  Index n_possible_ = 0;
};

}  // namespace

void posterior(const StateReader& reader, const std::vector<WeightedScores>& parts,
               const std::vector<Marginal>& marginals, const Execution& execution,
               RowStrategy strategy) {
  const Mixture mixture(reader, parts, Column::probability);
  const Probabilities answers(marginals, mixture.first().n_vectors());
  Answering(reader, mixture, answers, execution).run(strategy);
}

void most_probable(const StateReader& reader, const std::vector<WeightedScores>& parts,
                   const std::vector<std::int32_t>& preference, std::int64_t* out,
                   const Execution& execution, RowStrategy strategy) {
  const Mixture mixture(reader, parts, Column::rank);
  const Labels answers(preference, out);
  Answering(reader, mixture, answers, execution).run(strategy);
}

}  // namespace consilience
