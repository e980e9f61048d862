#include <pybind11/stl.h>

#include "arrays.hpp"
#include "consilience/posterior.hpp"

namespace consilience::bindings {

using namespace pybind11::literals;

namespace {

using Scores = py::array_t<double, py::array::c_style>;

/// (weight, of_state, base, link) of each score table.
using Parts = std::vector<std::tuple<double, Scores, Scores, std::string>>;

std::vector<WeightedScores> as_weighted_scores(const Parts& given, const BoundVotes& votes,
                                               const StateCoding& coding) {
  require_shape(!given.empty(), "parts must hold a score table");
  const StateReader reader(votes.view(), coding);
  std::vector<WeightedScores> parts;
  for (const auto& [weight, of_state, base, link] : given) {
    require_shape(base.ndim() == 1 && base.size() > 0, "base must have shape (n_vectors,)");
    require_shape(of_state.ndim() == 3 && of_state.shape(0) == reader.n_columns() &&
                      of_state.shape(1) == coding.n_states() && of_state.shape(2) == base.size(),
                  "of_state must have shape (n_columns, n_states, n_vectors)");
    require_shape(link == "softmax" || link == "share", "link must be softmax or share");
    parts.push_back({weight,
                     {base.size(), as_std_vector(base), as_std_vector(of_state),
                      link == "softmax" ? Link::softmax : Link::share}});
  }
  return parts;
}

RowStrategy strategy_named(const std::string& name) {
  if (name == "automatic") return RowStrategy::automatic;
  if (name == "every_item") return RowStrategy::every_item;
  if (name == "possible_rows") return RowStrategy::possible_rows;
  if (name == "distinct_rows") return RowStrategy::distinct_rows;
  throw py::value_error(
      "strategy must be automatic, every_item, possible_rows or distinct_rows, got " + name);
}

/// An array for a marginal of `n_classes`, and where the core writes it.
template <class T>
py::array add_marginal(std::vector<std::int32_t>&& of_vector, Index n_items, Index n_classes,
                       std::vector<Marginal>& marginals) {
  py::array_t<T> out({n_items, n_classes});
  marginals.push_back({std::move(of_vector), n_classes, out.mutable_data()});
  return out;
}

}  // namespace

void bind_posterior(py::module_& m) {
  m.def(
      "posterior",
      [](const BoundVotes& votes, const StateCoding& coding, const Parts& parts,
         const std::vector<Array<std::int32_t>>& class_of_vector, int n_threads,
         bool single_precision, const std::string& strategy) {
        const std::vector<WeightedScores> tables = as_weighted_scores(parts, votes, coding);
        const Index n_vectors = tables[0].scores.n_vectors;
        const Execution execution = interruptible(n_threads);
        const RowStrategy chosen = strategy_named(strategy);
        std::vector<Marginal> marginals;
        py::list results;
        for (const Array<std::int32_t>& classes : class_of_vector) {
          std::vector<std::int32_t> of_vector = as_std_vector(classes);
          require_shape(static_cast<Index>(of_vector.size()) == n_vectors,
                        "class_of_vector must have shape (n_vectors,)");
          std::int32_t n_classes = 0;
          for (const std::int32_t c : of_vector) {
            require_shape(c >= 0, "class_of_vector must not be negative");
            n_classes = std::max(n_classes, c + 1);
          }
          const auto add = single_precision ? &add_marginal<float> : &add_marginal<double>;
          results.append(add(std::move(of_vector), votes.view().n_items, n_classes, marginals));
        }
        {
          const py::gil_scoped_release unlocked;
          const StateReader reader(votes.view(), coding);
          posterior(reader, tables, marginals, execution, chosen);
        }
        return results;
      },
      "votes"_a, "coding"_a, "parts"_a.noconvert(), py::kw_only(), "class_of_vector"_a,
      "n_threads"_a, "single_precision"_a = false, "strategy"_a = "automatic");

  m.def(
      "most_probable",
      [](const BoundVotes& votes, const StateCoding& coding, const Parts& parts,
         const Array<std::int32_t>& preference, int n_threads, const std::string& strategy) {
        const std::vector<WeightedScores> tables = as_weighted_scores(parts, votes, coding);
        const Index n_vectors = tables[0].scores.n_vectors;
        const std::vector<std::int32_t> order = as_std_vector(preference);
        require_shape(static_cast<Index>(order.size()) == n_vectors,
                      "preference must have shape (n_vectors,)");
        for (const std::int32_t y : order) {
          require_shape(y >= 0 && y < n_vectors, "preference must be a permutation");
        }
        const Execution execution = interruptible(n_threads);
        const RowStrategy chosen = strategy_named(strategy);
        py::array_t<std::int64_t> out(votes.view().n_items);
        std::int64_t* written = out.mutable_data();
        {
          const py::gil_scoped_release unlocked;
          const StateReader reader(votes.view(), coding);
          most_probable(reader, tables, order, written, execution, chosen);
        }
        return out;
      },
      "votes"_a, "coding"_a, "parts"_a.noconvert(), py::kw_only(), "preference"_a.noconvert(),
      "n_threads"_a, "strategy"_a = "automatic");
}

}  // namespace consilience::bindings
