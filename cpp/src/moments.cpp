#include "consilience/moments.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "blocks.hpp"
#include "consilience/errors.hpp"
#include "consilience/parallel.hpp"
#include "listed_counts.hpp"
#include "nodes.hpp"
#include "simd/loops.hpp"
#include "triples.hpp"

namespace consilience {
namespace {

// Up to here counting indicators that never occur is harmless: where their cells are cleared, and
// where only those cells are ever touched that occur.
constexpr Index kFewNodes = 512;
constexpr Index kLazyNodes = 4096;
constexpr Index kListedRows = 512;  // whose votes stay in the first cache

template <class Sum>
Moments<Sum> empty_moments(const Nodes& nodes, Index m, const Partition& partition) {
  Moments<Sum> moments;
  moments.node_source = nodes.source;
  moments.node_state = nodes.state;
  moments.pairs.assign(static_cast<std::size_t>(nodes.size() * nodes.size()), 0);
  if (partition.counts()) moments.triples.assign(static_cast<std::size_t>(nodes.size()), 0);
  moments.votes.assign(static_cast<std::size_t>(m), 0);
  moments.overlaps.assign(static_cast<std::size_t>(m), 0);
  moments.conflicts.assign(static_cast<std::size_t>(m), 0);
  return moments;
}

template <class Sum>
void add(std::vector<Sum>& total, const std::vector<Sum>& part) {
  for (std::size_t i = 0; i < total.size(); ++i) total[i] += part[i];
}

/// Mirrors the upper triangle of the pairs, drops the indicators that never occur, and adds up the
/// votes of each source.
template <class Sum>
Moments<Sum> finish(Moments<Sum> moments, const Execution& execution) {
  const std::size_t d = moments.node_source.size();
  std::vector<std::size_t> live;
  for (std::size_t a = 0; a < d; ++a) {
    if (moments.pairs[a * d + a] == 0) continue;
    live.push_back(a);
    moments.votes[static_cast<std::size_t>(moments.node_source[a])] += moments.pairs[a * d + a];
  }
  std::size_t cell = 0;  // live cells move to the front, in order
  for (std::size_t i = 0; i < live.size(); ++i) {
    for (std::size_t j = 0; j < live.size(); ++j) {
      // Below the diagonal the mirror image has moved already.
      const std::size_t from = i <= j ? live[i] * d + live[j] : j * live.size() + i;
      moments.pairs[cell++] = moments.pairs[from];
    }
    if (i % 256 == 255 && execution.poll) execution.poll();
    moments.node_source[i] = moments.node_source[live[i]];
    moments.node_state[i] = moments.node_state[live[i]];
    if (!moments.triples.empty()) moments.triples[i] = moments.triples[live[i]];
  }
  moments.pairs.resize(cell);
  if (!moments.triples.empty()) moments.triples.resize(live.size());
  moments.node_source.resize(live.size());
  moments.node_state.resize(live.size());
  return moments;
}

/// Sums the workers' shares into the first.
template <class Sum>
Moments<Sum> merge(std::vector<Moments<Sum>>& parts, const Execution& execution) {
  Moments<Sum>& total = parts[0];
  for (std::size_t w = 1; w < parts.size(); ++w) {
    add(total.pairs, parts[w].pairs);
    add(total.triples, parts[w].triples);
    add(total.overlaps, parts[w].overlaps);
    add(total.conflicts, parts[w].conflicts);
    total.n_covered += parts[w].n_covered;
    if (execution.poll) execution.poll();
  }
  return finish(std::move(total), execution);
}

/// Which (source, state) occur, (m, n_states).
std::vector<std::uint8_t> occurring(const StateReader& reader, const Execution& execution) {
  const Index m = reader.n_columns();
  const std::int32_t n_states = reader.coding().n_states();
  const Blocks blocks(reader.votes());
  const int workers = n_workers(blocks.n, execution);
  std::vector<std::vector<std::uint8_t>> seen(
      static_cast<std::size_t>(workers),
      std::vector<std::uint8_t>(static_cast<std::size_t>(m * n_states), 0));
  std::vector<StateRows> rows(static_cast<std::size_t>(workers));
  std::vector<StateTile> tiles(static_cast<std::size_t>(workers));
  const bool by_tile = reader.fits_tiles() && !reader.is_sparse();
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    const auto w = static_cast<std::size_t>(worker);
    if (by_tile) {
      reader.read(blocks.begin(block), blocks.size(block), tiles[w]);
      for (Index j = 0; j < m; ++j) {
        const std::uint8_t* states = tiles[w].source(j);
        std::uint8_t* of_source = seen[w].data() + j * n_states;
        for (Index r = 0; r < tiles[w].n_rows; ++r) of_source[states[r]] = 1;
      }
    } else {
      reader.read(blocks.begin(block), blocks.size(block), rows[w]);
      for (std::size_t v = 0; v < rows[w].n_votes(); ++v) {
        seen[w][static_cast<std::size_t>(rows[w].source[v] * Index{n_states} + rows[w].state[v])] =
            1;
      }
    }
  });
  for (std::size_t w = 1; w < seen.size(); ++w) {
    for (std::size_t i = 0; i < seen[0].size(); ++i) seen[0][i] |= seen[w][i];
  }
  return seen[0];
}

/// Indicators to count: all of them when they are at most `few`, else those that occur, at one more
/// pass.
Nodes nodes_to_count(const StateReader& reader, Index few, const Execution& execution) {
  const Index m = reader.n_columns();
  const std::int32_t n_states = reader.coding().n_states();
  if (m * (n_states - 1) > few) return Nodes(occurring(reader, execution), m, n_states);
  return Nodes(std::vector<std::uint8_t>(static_cast<std::size_t>(m * n_states), 1), m, n_states);
}

// --- bit planes ---------------------------------------------------------------------------------

std::int64_t count_bits(const std::uint64_t* bits, Index n_words) {
  std::uint64_t count = 0;
  simd::loops().count_intersections(bits, bits, 1, static_cast<std::size_t>(n_words), &count);
  return static_cast<std::int64_t>(count);
}

/// A number for every row, as planes of its binary digits, the lowest first.
class RowNumbers {
 public:
  void reset(Index largest, Index n_words) {
    n_words_ = n_words;
    n_digits_ = 0;
    count_ = 0;
    for (; largest > 0; largest /= 2) ++n_digits_;
    planes_.assign(static_cast<std::size_t>(n_digits_ * n_words), 0);
  }

  Index n_digits() const { return n_digits_; }
  const std::uint64_t* digit(Index p) const { return planes_.data() + p * n_words_; }

  /// Adds 1 to the rows whose bits are set.
  void increment(const std::uint64_t* rows) {
    ++count_;
    const int reached = std::bit_width(count_);  // higher digits are 0 so far
    simd::loops().increment(rows, static_cast<std::size_t>(n_words_), planes_.data(),
                            static_cast<std::size_t>(reached));
  }

 private:
  Index n_words_ = 0;
  Index n_digits_ = 0;
  std::uint64_t count_ = 0;
  std::vector<std::uint64_t> planes_;
};

/// A number for every row as a sum of planes with weights.
class PlaneSum {
 public:
  void reset(Index n_words) {
    n_words_ = n_words;
    terms_.clear();
    planes_.clear();
  }

  /// Adds weight * x.
  void add(const RowNumbers& x, std::int64_t weight) {
    for (Index p = 0; p < x.n_digits(); ++p) add(x.digit(p), x.digit(p), weight << p);
  }
  /// Adds weight * x * y.
  void add_product(const RowNumbers& x, const RowNumbers& y, std::int64_t weight) {
    for (Index p = 0; p < x.n_digits(); ++p) {
      for (Index q = 0; q < y.n_digits(); ++q) add(x.digit(p), y.digit(q), weight << (p + q));
    }
  }
  /// Adds weight * x (x - 1) / 2.
  void add_pairs(const RowNumbers& x, std::int64_t weight) {
    for (Index p = 0; p < x.n_digits(); ++p) {
      if (p > 0) add(x.digit(p), x.digit(p), weight * ((1LL << (2 * p)) - (1LL << p)) / 2);
      for (Index q = p + 1; q < x.n_digits(); ++q) add(x.digit(p), x.digit(q), weight << (p + q));
    }
  }

  /// Sum over the rows whose bits are set.
  std::int64_t over(const std::uint64_t* rows, std::vector<std::uint64_t>& counts) const {
    counts.assign(terms_.size(), 0);
    simd::loops().count_intersections(rows, planes_.data(), terms_.size(),
                                      static_cast<std::size_t>(n_words_), counts.data());
    std::int64_t sum = 0;
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      sum += terms_[t].weight * static_cast<std::int64_t>(counts[t]);
    }
    return sum;
  }

 private:
  struct Term {
    const std::uint64_t* x;
    const std::uint64_t* y;
    std::int64_t weight;
  };

  void add(const std::uint64_t* x, const std::uint64_t* y, std::int64_t weight) {
    for (Term& term : terms_) {
      if ((term.x == x && term.y == y) || (term.x == y && term.y == x)) {
        term.weight += weight;
        return;
      }
    }
    const std::size_t begin = planes_.size();
    planes_.resize(begin + static_cast<std::size_t>(n_words_));
    std::uint64_t* both = planes_.data() + begin;
    for (Index w = 0; w < n_words_; ++w) both[w] = x[w] & y[w];
    terms_.push_back({x, y, weight});
  }

  Index n_words_ = 0;
  std::vector<Term> terms_;
  std::vector<std::uint64_t> planes_;
};

/// Working memory of one worker, and what it does with a tile.
class BitPlanes {
 public:
  BitPlanes(const Nodes& nodes, const Relations& relations, const Partition& partition, Index m,
            std::int32_t n_states)
      : nodes_(nodes),
        relations_(relations),
        partition_(partition),
        m_(m),
        n_states_(n_states),
        sums_(static_cast<std::size_t>(nodes.size())) {}

  void count(const StateTile& tile, Moments<std::int64_t>& moments) {
    n_words_ = (tile.n_rows + 63) / 64;
    pack(tile);
    count_pairs(moments);
    count_summaries(moments);
    if (!partition_.counts()) return;
    for (std::int32_t s = 1; s < n_states_; ++s) count_triples(s, moments);
  }

 private:
  std::uint64_t* plane(AlignedVector<std::uint64_t>& planes, Index i) const {
    return planes.data() + i * n_words_;
  }

  void pack(const StateTile& tile) {
    planes_.resize(static_cast<std::size_t>(nodes_.size() * n_words_));
    for (Index a = 0; a < nodes_.size(); ++a) {
      const auto i = static_cast<std::size_t>(a);
      simd::loops().pack_equal(tile.source(nodes_.source[i]), static_cast<std::size_t>(n_words_),
                               static_cast<std::uint8_t>(nodes_.state[i]), plane(planes_, a));
    }
  }

  // Pairs of two sources, a tile of partners that stays in the first cache at a time.
  void count_pairs(Moments<std::int64_t>& moments) {
    const Index d = nodes_.size();
    const Index tile = std::max<Index>(8, 2048 / n_words_);
    for (Index first = 0; first < d; first += tile) {
      const Index last = std::min(d, first + tile);
      for (Index a = 0; a < last; ++a) {
        std::int64_t* row = moments.pairs.data() + a * d;
        const Index after_source = nodes_.first_of(nodes_.source[static_cast<std::size_t>(a)] + 1);
        const Index begin = std::max(first, after_source);
        if (a >= first) row[a] += count_bits(plane(planes_, a), n_words_);
        if (begin >= last) continue;
        std::fill(sums_.begin(), sums_.end(), 0);
        simd::loops().count_intersections(plane(planes_, a), plane(planes_, begin),
                                          static_cast<std::size_t>(last - begin),
                                          static_cast<std::size_t>(n_words_), sums_.data());
        for (Index b = begin; b < last; ++b) {
          row[b] += static_cast<std::int64_t>(sums_[static_cast<std::size_t>(b - begin)]);
        }
      }
    }
  }

  void count_summaries(Moments<std::int64_t>& moments) {
    const auto words = static_cast<std::size_t>(n_words_);
    votes_.assign(static_cast<std::size_t>(m_) * words, 0);
    any_.assign(static_cast<std::size_t>(n_states_) * words, 0);
    once_.assign(words, 0);
    // Rows with at least two votes; after them, rows with votes for different states.
    twice_and_several_.assign(2 * words, 0);
    std::uint64_t* twice = twice_and_several_.data();
    for (Index a = 0; a < nodes_.size(); ++a) {
      const auto i = static_cast<std::size_t>(a);
      simd::loops().merge_plane(plane(planes_, a), words, plane(votes_, nodes_.source[i]),
                                plane(any_, nodes_.state[i]), once_.data(), twice);
    }
    moments.n_covered += count_bits(once_.data(), n_words_);
    find_several();
    for (Index j = 0; j < m_; ++j) {
      const auto i = static_cast<std::size_t>(j);
      std::uint64_t both[2] = {0, 0};
      simd::loops().count_intersections(plane(votes_, j), twice, 2, words, both);
      moments.overlaps[i] += static_cast<std::int64_t>(both[0]);
      if (relations_.conflict_by_difference)
        moments.conflicts[i] += static_cast<std::int64_t>(both[1]);
    }
    if (!relations_.conflict_by_difference) count_disjoint(moments);
  }

  // Two different states on a row: each is contradicted by the other.
  void find_several() {
    AlignedVector<std::uint64_t>& seen = once_;
    std::fill(seen.begin(), seen.end(), 0);
    std::uint64_t* several = twice_and_several_.data() + n_words_;
    for (std::int32_t s = 1; s < n_states_; ++s) {
      const std::uint64_t* of_state = plane(any_, s);
      for (std::size_t w = 0; w < seen.size(); ++w) {
        several[w] |= seen[w] & of_state[w];
        seen[w] |= of_state[w];
      }
    }
  }

  // Rows on which some source votes for a state that contradicts this one, state by state.
  void count_disjoint(Moments<std::int64_t>& moments) {
    const auto words = static_cast<std::size_t>(n_words_);
    contradicted_.assign(static_cast<std::size_t>(n_states_) * words, 0);
    for (std::int32_t s = 1; s < n_states_; ++s) {
      std::uint64_t* of_state = plane(contradicted_, s);
      for (std::int32_t t = 1; t < n_states_; ++t) {
        if (relations_.disjoint[static_cast<std::size_t>(s * n_states_ + t)] == 0) continue;
        const std::uint64_t* other = plane(any_, t);
        for (std::size_t w = 0; w < words; ++w) of_state[w] |= other[w];
      }
    }
    for (Index a = 0; a < nodes_.size(); ++a) {
      const auto i = static_cast<std::size_t>(a);
      std::uint64_t both = 0;
      simd::loops().count_intersections(plane(planes_, a), plane(contradicted_, nodes_.state[i]), 1,
                                        words, &both);
      moments.conflicts[static_cast<std::size_t>(nodes_.source[i])] +=
          static_cast<std::int64_t>(both);
    }
  }

  // With c votes for the state on a row, n of them by a source's own component, it meets
  // sum_C<C' n_C n_C' - n (c - n) pairs of votes of two further components.
  void count_triples(std::int32_t state, Moments<std::int64_t>& moments) {
    voters_.clear();
    for (Index j = 0; j < m_; ++j) {
      if (nodes_(j, state) >= 0) voters_.push_back(nodes_(j, state));
    }
    if (voters_.size() < 3) return;
    c_.reset(static_cast<Index>(voters_.size()), n_words_);
    for (const Index a : voters_) c_.increment(plane(planes_, a));
    pairs_.reset(n_words_);
    pairs_.add_pairs(c_, 1);
    within_.resize(partition_.several.size());
    for (std::size_t g = 0; g < within_.size(); ++g) {
      const std::vector<Index>& group = partition_.several[g];
      within_[g].reset(static_cast<Index>(group.size()), n_words_);
      for (const Index j : group) {
        if (nodes_(j, state) >= 0) within_[g].increment(plane(planes_, nodes_(j, state)));
      }
      pairs_.add_pairs(within_[g], -1);
    }
    for (std::size_t g = 0; g < within_.size(); ++g) {
      others_ = pairs_;
      others_.add_product(within_[g], c_, -1);
      others_.add_product(within_[g], within_[g], 1);
      for (const Index j : partition_.several[g]) {
        if (nodes_(j, state) >= 0) add_triples(nodes_(j, state), others_, moments);
      }
    }
    pairs_.add(c_, -1);  // n = 1 for a source alone, where it votes; the 1 of n^2 follows
    for (const Index a : voters_) {
      const std::size_t i = partition_.component(nodes_.source[static_cast<std::size_t>(a)]);
      if (partition_.size_of[i] > 1) continue;
      add_triples(a, pairs_, moments);
      moments.triples[static_cast<std::size_t>(a)] += count_bits(plane(planes_, a), n_words_);
    }
  }

  void add_triples(Index a, const PlaneSum& pairs, Moments<std::int64_t>& moments) {
    moments.triples[static_cast<std::size_t>(a)] += pairs.over(plane(planes_, a), terms_);
  }

  const Nodes& nodes_;
  const Relations& relations_;
  const Partition& partition_;
  Index m_;
  std::int32_t n_states_;
  Index n_words_ = 0;
  AlignedVector<std::uint64_t> planes_, votes_, any_, contradicted_, once_, twice_and_several_;
  std::vector<std::uint64_t> sums_, terms_;
  std::vector<Index> voters_;
  RowNumbers c_;
  std::vector<RowNumbers> within_;
  PlaneSum pairs_, others_;
};

Moments<std::int64_t> count_by_bit_planes(const StateReader& reader, const Relations& relations,
                                          const Partition& partition, const Execution& execution) {
  const Index m = reader.n_columns();
  const std::int32_t n_states = reader.coding().n_states();
  const Nodes nodes = nodes_to_count(reader, kFewNodes, execution);

  // Long blocks suit the population count; with very many indicators a block is short enough for a
  // poll every few milliseconds all the same.
  const Index pairs = nodes.size() * nodes.size() / 2 + 1;
  const Blocks blocks(reader.votes(),
                      std::clamp<Index>((Index{1} << 31) / pairs / 64 * 64, 64, Blocks::kMaxRows));
  const auto workers = static_cast<std::size_t>(n_workers(blocks.n, execution));
  std::vector<Moments<std::int64_t>> parts(workers,
                                           empty_moments<std::int64_t>(nodes, m, partition));
  std::vector<BitPlanes> planes(workers, BitPlanes(nodes, relations, partition, m, n_states));
  std::vector<StateTile> tiles(workers);
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    const auto w = static_cast<std::size_t>(worker);
    reader.read(blocks.begin(block), blocks.size(block), tiles[w]);
    planes[w].count(tiles[w], parts[w]);
  });
  return merge(parts, execution);
}

// --- row lists ----------------------------------------------------------------------------------

/// The part of the sums that one worker adds: pairs whose first indicator lies in [low, high).
struct Share {
  Index low;
  Index high;
  bool adds_covered;
};

/// Adds one row's votes; `nodes` are the indicators that are 1, `states` their states.
template <class Sum>
void add_row(const std::int32_t* sources, const std::int32_t* states, const std::int32_t* nodes,
             std::size_t n_votes, const Relations& relations, std::int32_t n_states, Sum weight,
             const Share& share, Moments<Sum>& moments) {
  const auto d = static_cast<Index>(moments.node_source.size());
  bool all_equal = true;
  for (std::size_t v = 1; v < n_votes; ++v) all_equal &= states[v] == states[0];
  for (std::size_t v = 0; v < n_votes; ++v) {
    if (nodes[v] < share.low || nodes[v] >= share.high) continue;
    Sum* row = moments.pairs.data() + nodes[v] * d;
    for (std::size_t u = v; u < n_votes; ++u) row[nodes[u]] += weight;
    const auto j = static_cast<std::size_t>(sources[v]);
    if (n_votes > 1) moments.overlaps[j] += weight;
    bool contradicted = !all_equal;
    if (!relations.conflict_by_difference && !all_equal) {
      const std::uint8_t* disjoint = relations.disjoint.data() + Index{states[v]} * n_states;
      contradicted = false;
      for (std::size_t u = 0; u < n_votes; ++u) contradicted |= disjoint[states[u]] != 0;
    }
    if (contradicted) moments.conflicts[j] += weight;
  }
}

/// Reads blocks as lists of indicators and adds their rows.
template <class Sum>
class RowLists {
 public:
  RowLists(const StateReader& reader, const Nodes& nodes, const Relations& relations,
           const Partition& partition)
      : reader_(reader),
        nodes_(nodes),
        relations_(relations),
        partition_(partition),
        triples_(partition, reader.n_columns(), reader.coding().n_states()) {}

  void count(Index begin, Index n_rows, const Sum* weights, const Share& share,
             Moments<Sum>& moments) {
    reader_.read(begin, n_rows, rows_);
    list_.resize(rows_.n_votes());
    for (std::size_t v = 0; v < list_.size(); ++v) {
      list_[v] = static_cast<std::int32_t>(nodes_(rows_.source[v], rows_.state[v]));
    }
    const std::int32_t n_states = reader_.coding().n_states();
    for (Index r = 0; r < n_rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const std::int64_t start = rows_.start[i];
      const auto n_votes = static_cast<std::size_t>(rows_.start[i + 1] - start);
      if (n_votes == 0) continue;
      const Sum weight = weights == nullptr ? Sum{1} : weights[begin + r];
      if (share.adds_covered) moments.n_covered += weight;
      add_row(rows_.source.data() + start, rows_.state.data() + start, list_.data() + start,
              n_votes, relations_, n_states, weight, share, moments);
      if (!partition_.counts()) continue;
      triples_.add(rows_.source.data() + start, rows_.state.data() + start, list_.data() + start,
                   n_votes, weight, share.low, share.high, moments.triples.data());
    }
  }

 private:
  const StateReader& reader_;
  const Nodes& nodes_;
  const Relations& relations_;
  const Partition& partition_;
  RowTriples triples_;
  StateRows rows_;
  std::vector<std::int32_t> list_;
};

Moments<std::int64_t> count_by_row_lists(const StateReader& reader, const Relations& relations,
                                         const Partition& partition, const std::int64_t* weights,
                                         const Execution& execution) {
  const Index m = reader.n_columns();
  const Nodes nodes = nodes_to_count(reader, kFewNodes, execution);
  const Blocks blocks(reader.votes());
  const auto workers = static_cast<std::size_t>(n_workers(blocks.n, execution));
  std::vector<Moments<std::int64_t>> parts(workers,
                                           empty_moments<std::int64_t>(nodes, m, partition));
  std::vector<RowLists<std::int64_t>> lists(
      workers, RowLists<std::int64_t>(reader, nodes, relations, partition));
  const Share all{0, nodes.size(), true};
  for_each_chunk(blocks.n, execution, [&](Index block, int worker) {
    const auto w = static_cast<std::size_t>(worker);
    lists[w].count(blocks.begin(block), blocks.size(block), weights, all, parts[w]);
  });
  return merge(parts, execution);
}

Moments<std::int64_t> count_by_row_lists(const StateReader& reader, const Relations& relations,
                                         const Partition& partition, const Execution& execution) {
  const Nodes nodes = nodes_to_count(reader, kLazyNodes, execution);
  const Blocks blocks(reader.votes(), std::min<Index>(kListedRows, Blocks(reader.votes()).rows));
  Execution bounded = execution;  // all workers' tables together within the memory of a result
  bounded.n_threads = static_cast<int>(
      std::clamp<Index>(2 * kMaxNodes * kMaxNodes / std::max<Index>(1, nodes.size() * nodes.size()),
                        1, std::max(1, execution.n_threads)));
  std::vector<ListedCounts> parts;
  const int workers = n_workers(blocks.n, bounded);
  for (int w = 0; w < workers; ++w) parts.emplace_back(nodes, relations, partition, reader);
  std::vector<StateRows> rows(parts.size());
  for_each_chunk(blocks.n, bounded, [&](Index block, int worker) {
    const auto w = static_cast<std::size_t>(worker);
    reader.read(blocks.begin(block), blocks.size(block), rows[w]);
    parts[w].count(rows[w]);
  });
  return ListedCounts::sum(parts, execution);
}

/// Pairs of votes on a row (a vote pairs with itself too), on average over a sample of the rows.
double mean_pairs(const StateReader& reader) {
  const Blocks blocks(reader.votes(), 64);
  const Index n_samples = std::min<Index>(blocks.n, 32);
  StateRows rows;
  double pairs = 0, n_rows = 0;
  for (Index i = 0; i < n_samples; ++i) {
    const Index block = i * blocks.n / n_samples;
    try {
      reader.read(blocks.begin(block), blocks.size(block), rows);
    } catch (const LabelOutOfRange&) {
      continue;  // the pass over all rows names the first one
    }
    for (std::size_t r = 0; r + 1 < rows.start.size(); ++r) {
      const auto v = static_cast<double>(rows.start[r + 1] - rows.start[r]);
      pairs += v * (v + 1) / 2;
      n_rows += 1;
    }
  }
  return pairs / std::max(1.0, n_rows);
}

}  // namespace

MomentsKernel choose_kernel(const StateReader& reader) {
  if (!reader.fits_tiles()) return MomentsKernel::row_lists;
  // Nanoseconds a row, measured: packing and one AND + population count for every pair of
  // indicators against scanning the row and one increment for every pair of votes, which costs more
  // where the table of pairs leaves the second cache.
  const auto m = static_cast<double>(reader.n_columns());
  const auto k = static_cast<double>(reader.coding().n_states() - 1);
  const double d = m * k;
  const double planes =
      0.06 * m + 0.03 * d + simd::loops().nanoseconds_of_intersection * (d * d - d * k) / 2;
  const double scan = 11 + (reader.is_sparse() ? 0 : simd::loops().nanoseconds_of_listing * m);
  if (planes <= scan) return MomentsKernel::bit_planes;
  const double lists = scan + (d <= 700 ? 0.7 : 2.75) * mean_pairs(reader);
  return planes <= lists ? MomentsKernel::bit_planes : MomentsKernel::row_lists;
}

Moments<std::int64_t> count_moments(const StateReader& reader, const Relations& relations,
                                    MomentsKernel kernel, const Execution& execution) {
  const Partition partition(relations, reader.n_columns());
  if (kernel == MomentsKernel::automatic) kernel = choose_kernel(reader);
  if (kernel == MomentsKernel::bit_planes) {
    if (!reader.fits_tiles()) {
      throw std::invalid_argument("kernel bit_planes takes at most 255 events, got " +
                                  std::to_string(reader.coding().n_states() - 1));
    }
    return count_by_bit_planes(reader, relations, partition, execution);
  }
  return count_by_row_lists(reader, relations, partition, execution);
}

Moments<std::int64_t> count_moments(const StateReader& reader, const Relations& relations,
                                    const std::int64_t* weights, const Execution& execution) {
  const Partition partition(relations, reader.n_columns());
  return count_by_row_lists(reader, relations, partition, weights, execution);
}

Moments<double> count_moments(const StateReader& reader, const Relations& relations,
                              const double* weights, const Execution& execution) {
  const Index m = reader.n_columns();
  const Partition partition(relations, m);
  const Nodes nodes = nodes_to_count(reader, kFewNodes, execution);
  const Blocks blocks(reader.votes());
  // A cell is added up by one worker, row after row: all workers read the same stretch of rows and
  // each adds the pairs whose first source is in its share. Stretches are short, so that a poll
  // that throws ends all workers soon.
  constexpr Index kStretch = 4;
  const Index n_shares = n_workers(m, execution);
  std::vector<Moments<double>> parts(static_cast<std::size_t>(n_shares),
                                     empty_moments<double>(nodes, m, partition));
  std::vector<RowLists<double>> lists(static_cast<std::size_t>(n_shares),
                                      RowLists<double>(reader, nodes, relations, partition));
  for (Index first = 0; first < blocks.n; first += kStretch) {
    const Index last = std::min(blocks.n, first + kStretch);
    for_each_chunk(n_shares, execution, [&](Index i, int) {
      const Share share{nodes.first_of(i * m / n_shares), nodes.first_of((i + 1) * m / n_shares),
                        i == 0};
      for (Index block = first; block < last; ++block) {
        lists[static_cast<std::size_t>(i)].count(blocks.begin(block), blocks.size(block), weights,
                                                 share, parts[static_cast<std::size_t>(i)]);
      }
    });
  }
  return merge(parts, execution);
}

}  // namespace consilience
