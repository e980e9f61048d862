#include <pybind11/stl.h>

#include <optional>

#include "arrays.hpp"
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

}  // namespace

void bind_expectation(py::module_& m) {
  py::class_<Patterns>(m, "Patterns")
      .def("__len__", &Patterns::size)
      .def_property_readonly("weight", [](const Patterns& patterns) {
        return py::array_t<double>(static_cast<py::ssize_t>(patterns.weight.size()),
                                   patterns.weight.data());
      });

  m.def(
      "find_patterns",
      [](const BoundVotes& votes, const StateCoding& coding,
         const std::optional<Array<double>>& weights) {
        require_shape(!weights || (weights->ndim() == 1 && weights->size() == votes.view().n_items),
                      "weights must have shape (n_items,)");
        const Execution execution = interruptible(1);
        const py::gil_scoped_release unlocked;
        const StateReader reader(votes.view(), coding);
        return find_patterns(reader, weights ? weights->data() : nullptr, execution);
      },
      "votes"_a, "coding"_a, "weights"_a.noconvert());

  m.def(
      "expect",
      [](const Patterns& patterns, const Scores& of_state, const Scores& base, bool leave_one_out,
         int n_threads) {
        const ScoreTable table = as_table(patterns, of_state, base);
        const Execution execution = interruptible(n_threads);
        Expectation found;
        {
          const py::gil_scoped_release unlocked;
          found = expect(patterns, table, leave_one_out ? Counting::leave_one_out : Counting::full,
                         execution);
        }
        return py::make_tuple(to_array(std::move(found.of_state),
                                       {of_state.shape(0), of_state.shape(1), of_state.shape(2)}),
                              to_array(std::move(found.of_vector)), found.log_likelihood);
      },
      "patterns"_a, "of_state"_a.noconvert(), "base"_a.noconvert(), py::kw_only(),
      "leave_one_out"_a = false, "n_threads"_a);
}

}  // namespace consilience::bindings
