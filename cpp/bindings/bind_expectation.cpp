#include <pybind11/stl.h>

#include <optional>

#include "arrays.hpp"
#include "consilience/evidence.hpp"
#include "consilience/expectation.hpp"

namespace consilience::bindings {

using namespace pybind11::literals;

namespace {

using Scores = py::array_t<double, py::array::c_style>;

ScoreTable as_table(const Patterns& patterns, const Scores& of_state, const Scores& base) {
  require_shape(base.ndim() == 1 && base.size() > 0, "base must have shape (n_vectors,)");
  require_shape(of_state.ndim() == 3 && of_state.shape(0) == patterns.n_columns &&
                    of_state.shape(1) == patterns.n_states && of_state.shape(2) == base.size(),
                "of_state must have shape (n_columns, n_states, n_vectors)");
  return {base.size(), as_std_vector(base), as_std_vector(of_state), Link::softmax};
}

/// What items weigh, by arrays that may be missing.
ItemWeights as_weights(const BoundVotes& votes, const std::optional<Array<double>>& weights,
                       const std::optional<Array<bool>>& left_out) {
  const Index n = votes.view().n_items;
  require_shape(!weights || (weights->ndim() == 1 && weights->size() == n),
                "weights must have shape (n_items,)");
  require_shape(!left_out || (left_out->ndim() == 1 && left_out->size() == n),
                "left_out must have shape (n_items,)");
  return {weights ? weights->data() : nullptr,
          left_out ? reinterpret_cast<const std::uint8_t*>(left_out->data()) : nullptr};
}

}  // namespace

void bind_expectation(py::module_& m) {
  py::class_<Patterns>(m, "Patterns")
      .def("__len__", &Patterns::size)
      .def_readonly("n_columns", &Patterns::n_columns)
      .def_property_readonly("weight",
                             [](const Patterns& patterns) {
                               return py::array_t<double>(
                                   static_cast<py::ssize_t>(patterns.weight.size()),
                                   patterns.weight.data());
                             })
      .def_property_readonly(
          "n_votes", [](const Patterns& patterns) { return to_array(count_votes(patterns)); })
      .def(
          "select",
          [](const Patterns& patterns, const Array<std::int64_t>& rows,
             const Array<double>& weights, const Array<std::uint8_t>& columns) {
            return select(patterns, as_std_vector(rows), as_std_vector(weights),
                          as_std_vector(columns));
          },
          "rows"_a.noconvert(), "weights"_a.noconvert(), "columns"_a.noconvert())
      .def(
          "thinned",
          [](const Patterns& patterns, double one_in, int n_threads) {
            const Execution execution = interruptible(n_threads);
            const py::gil_scoped_release unlocked;
            return thinned(patterns, one_in, execution);
          },
          "one_in"_a, py::kw_only(), "n_threads"_a)
      .def(
          "with_states",
          [](const Patterns& patterns, const Array<std::int32_t>& number, std::int32_t n_states) {
            require_shape(number.ndim() == 2 && number.shape(0) == patterns.n_columns &&
                              number.shape(1) == patterns.n_states,
                          "number must have shape (n_columns, n_states)");
            return with_states(patterns, as_std_vector(number), n_states);
          },
          "number"_a.noconvert(), "n_states"_a)
      .def(
          "with_column_per_state",
          [](const Patterns& patterns, const Array<bool>& kept) {
            require_shape(kept.ndim() == 2 && kept.shape(0) == patterns.n_columns &&
                              kept.shape(1) == patterns.n_states,
                          "kept must have shape (n_columns, n_states)");
            return with_column_per_state(
                patterns, std::vector<std::uint8_t>(kept.data(), kept.data() + kept.size()));
          },
          "kept"_a.noconvert())
      .def("rows", [](const Patterns& patterns) {
        Patterns lists = listed(patterns);
        return py::make_tuple(to_array(std::move(lists.start)), to_array(std::move(lists.column)),
                              to_array(std::move(lists.state)));
      });

  m.def(
      "find_patterns",
      [](const BoundVotes& votes, const StateCoding& coding,
         const std::optional<Array<double>>& weights, const std::optional<Array<bool>>& left_out,
         int n_threads) {
        const ItemWeights of_items = as_weights(votes, weights, left_out);
        const Execution execution = interruptible(n_threads);
        const py::gil_scoped_release unlocked;
        const StateReader reader(votes.view(), coding);
        return find_patterns(reader, of_items, execution);
      },
      "votes"_a, "coding"_a, "weights"_a.noconvert(), "left_out"_a.noconvert() = py::none(),
      py::kw_only(), "n_threads"_a = 1);

  m.def(
      "list_votes",
      [](const BoundVotes& votes, const StateCoding& coding) {
        StateRows rows;
        {
          const py::gil_scoped_release unlocked;
          StateReader(votes.view(), coding).read(0, votes.view().n_items, rows);
        }
        rows.source.resize(rows.n_votes());
        rows.state.resize(rows.n_votes());
        return py::make_tuple(to_array(std::move(rows.start)), to_array(std::move(rows.source)),
                              to_array(std::move(rows.state)));
      },
      "votes"_a, "coding"_a);

  m.def(
      "find_few_patterns",
      [](const BoundVotes& votes, const StateCoding& coding, Index at_most,
         const std::optional<Array<bool>>& left_out, int n_threads) {
        const ItemWeights of_items = as_weights(votes, std::nullopt, left_out);
        const Execution execution = interruptible(n_threads);
        const py::gil_scoped_release unlocked;
        const StateReader reader(votes.view(), coding);
        return find_few_patterns(reader, of_items, at_most, execution);
      },
      "votes"_a, "coding"_a, "at_most"_a, "left_out"_a.noconvert() = py::none(), py::kw_only(),
      "n_threads"_a);

  m.def(
      "expect",
      [](const Patterns& patterns, const Scores& of_state, const Scores& base,
         const std::optional<Scores>& vote_of_state, double vote_share, int n_threads) {
        const ScoreTable table = as_table(patterns, of_state, base);
        require_shape(vote_share >= 0 && vote_share <= 1, "vote_share must lie in [0, 1]");
        const VoteShare vote = {
            vote_share, vote_of_state ? as_std_vector(*vote_of_state) : std::vector<double>{}};
        const Execution execution = interruptible(n_threads);
        Expectation found;
        {
          const py::gil_scoped_release unlocked;
          found = expect(patterns, table, vote, execution);
        }
        return py::make_tuple(to_array(std::move(found.of_state),
                                       {of_state.shape(0), of_state.shape(1), of_state.shape(2)}),
                              to_array(std::move(found.of_vector)), found.log_likelihood);
      },
      "patterns"_a, "of_state"_a.noconvert(), "base"_a.noconvert(),
      "vote_of_state"_a.noconvert() = py::none(), py::kw_only(), "vote_share"_a = 0.0,
      "n_threads"_a);

  m.def(
      "expect_items",
      [](const BoundVotes& votes, const StateCoding& coding, const Scores& of_state,
         const Scores& base, const std::optional<Array<bool>>& left_out, int n_threads) {
        require_shape(base.ndim() == 1 && base.size() > 0, "base must have shape (n_vectors,)");
        require_shape(of_state.ndim() == 3 && of_state.shape(2) == base.size(),
                      "of_state must have shape (n_columns, n_states, n_vectors)");
        const ItemWeights of_items = as_weights(votes, std::nullopt, left_out);
        const ScoreTable table = {base.size(), as_std_vector(base), as_std_vector(of_state),
                                  Link::softmax};
        const Execution execution = interruptible(n_threads);
        Expectation found;
        {
          const py::gil_scoped_release unlocked;
          const StateReader reader(votes.view(), coding);
          found = expect_items(reader, of_items.left_out, table, execution);
        }
        return py::make_tuple(to_array(std::move(found.of_state),
                                       {of_state.shape(0), of_state.shape(1), of_state.shape(2)}),
                              to_array(std::move(found.of_vector)), found.log_likelihood);
      },
      "votes"_a, "coding"_a, "of_state"_a.noconvert(), "base"_a.noconvert(),
      "left_out"_a.noconvert() = py::none(), py::kw_only(), "n_threads"_a);

  m.def(
      "expect_exactly",
      [](const Patterns& patterns, const Scores& of_state, const Scores& base, int n_threads) {
        const ScoreTable table = as_table(patterns, of_state, base);
        const Execution execution = interruptible(n_threads);
        Expectation found;
        {
          const py::gil_scoped_release unlocked;
          found = expect_exactly(patterns, table, execution);
        }
        return py::make_tuple(to_array(std::move(found.of_state),
                                       {of_state.shape(0), of_state.shape(1), of_state.shape(2)}),
                              to_array(std::move(found.of_vector)), found.log_likelihood);
      },
      "patterns"_a, "of_state"_a.noconvert(), "base"_a.noconvert(), py::kw_only(), "n_threads"_a);

  m.def(
      "told_by_others",
      [](const Patterns& patterns, const Scores& of_state, const Scores& base,
         const Scores& vote_of_state, double vote_share, int n_threads) {
        const ScoreTable table = as_table(patterns, of_state, base);
        require_shape(vote_share >= 0 && vote_share <= 1, "vote_share must lie in [0, 1]");
        const VoteShare vote = {vote_share, as_std_vector(vote_of_state)};
        const Execution execution = interruptible(n_threads);
        std::vector<double> found;
        {
          const py::gil_scoped_release unlocked;
          found = told_by_others(patterns, table, vote, execution);
        }
        return to_array(std::move(found),
                        {of_state.shape(0), of_state.shape(1), of_state.shape(2)});
      },
      "patterns"_a, "of_state"_a.noconvert(), "base"_a.noconvert(), "vote_of_state"_a.noconvert(),
      py::kw_only(), "vote_share"_a, "n_threads"_a);

  m.def(
      "preferred",
      [](const Patterns& patterns, const Scores& of_state, const Scores& base) {
        const ScoreTable table = as_table(patterns, of_state, base);
        std::vector<std::int32_t> found;
        {
          const py::gil_scoped_release unlocked;
          found = preferred(patterns, table);
        }
        return to_array(std::move(found));
      },
      "patterns"_a, "of_state"_a.noconvert(), "base"_a.noconvert());

  m.def(
      "held_out_votes",
      [](const Patterns& patterns, const Scores& of_state, const Scores& base,
         const Scores& vote_of_state, const Scores& of_vote, const Array<std::uint8_t>& included,
         const std::vector<double>& temperatures, const std::vector<double>& shares,
         const std::optional<Scores>& given, int n_threads) {
        const ScoreTable table = as_table(patterns, of_state, base);
        const std::vector<double> said = as_std_vector(vote_of_state),
                                  told = as_std_vector(of_vote);
        const std::vector<double> known = given ? as_std_vector(*given) : std::vector<double>{};
        const Forecast forecast = {table,        said,  told, known, as_std_vector(included),
                                   temperatures, shares};
        const Execution execution = interruptible(n_threads);
        HeldOut found;
        {
          const py::gil_scoped_release unlocked;
          found = held_out_votes(patterns, forecast, execution);
        }
        return py::make_tuple(to_array(std::move(found.log_likelihood),
                                       {static_cast<py::ssize_t>(forecast.temperatures.size()),
                                        static_cast<py::ssize_t>(forecast.shares.size())}),
                              found.n_votes);
      },
      "patterns"_a, "of_state"_a.noconvert(), "base"_a.noconvert(), "vote_of_state"_a.noconvert(),
      "of_vote"_a.noconvert(), "included"_a.noconvert(), py::kw_only(), "temperatures"_a,
      "shares"_a, "given"_a.noconvert() = py::none(), "n_threads"_a);

  m.def(
      "dirichlet_evidence",
      [](const Scores& counts, const Scores& centre, const Array<std::int64_t>& group,
         const std::vector<double>& strengths) {
        require_shape(counts.ndim() == 2 && centre.ndim() == 2 && group.ndim() == 1 &&
                          counts.shape(0) == group.size() && centre.shape(0) == group.size() &&
                          counts.shape(1) == centre.shape(1),
                      "counts and centre must have shape (n, K), group (n,)");
        const std::vector<std::int64_t> of_row = as_std_vector(group);
        const py::gil_scoped_release unlocked;
        return dirichlet_evidence(counts.data(), centre.data(), counts.shape(1), of_row, strengths);
      },
      "counts"_a.noconvert(), "centre"_a.noconvert(), "group"_a.noconvert(), "strengths"_a);
}

}  // namespace consilience::bindings
