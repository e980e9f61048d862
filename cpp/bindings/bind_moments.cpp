#include <pybind11/stl.h>

#include <algorithm>
#include <optional>

#include "arrays.hpp"
#include "consilience/moments.hpp"

namespace consilience::bindings {

using namespace pybind11::literals;

namespace {

template <class Sum>
py::dict to_dict(Moments<Sum>&& moments) {
  const auto d = static_cast<py::ssize_t>(moments.node_source.size());
  py::dict result;
  result["node_source"] = to_array(std::move(moments.node_source));
  result["node_state"] = to_array(std::move(moments.node_state));
  result["pairs"] = to_array(std::move(moments.pairs), {d, d});
  result["triples"] = to_array(std::move(moments.triples));
  result["votes"] = to_array(std::move(moments.votes));
  result["overlaps"] = to_array(std::move(moments.overlaps));
  result["conflicts"] = to_array(std::move(moments.conflicts));
  result["n_covered"] = moments.n_covered;
  return result;
}

template <class Sum>
py::tuple to_tuple(Marginals<Sum>&& marginals, Index m) {
  const auto n_states = static_cast<py::ssize_t>(marginals.counts.size()) / std::max<Index>(1, m);
  return py::make_tuple(to_array(std::move(marginals.counts), {m, n_states}),
                        to_array(std::move(marginals.overlaps)),
                        to_array(std::move(marginals.conflicts)), marginals.n_covered);
}

template <class Weight>
py::tuple marginals_of(const BoundVotes& votes, const StateCoding& coding,
                       const std::optional<Array<Weight>>& weights, const Relations& relations,
                       int n_threads) {
  require_shape(!weights || (weights->ndim() == 1 && weights->size() == votes.view().n_items),
                "weights must have shape (n_items,)");
  const Execution execution = interruptible(n_threads);
  Marginals<Weight> marginals;
  {
    const py::gil_scoped_release unlocked;
    const StateReader reader(votes.view(), coding);
    marginals = count_marginals(reader, relations, weights ? weights->data() : nullptr, execution);
  }
  return to_tuple(std::move(marginals), votes.view().n_sources);
}

MomentsKernel kernel_named(const std::string& name) {
  if (name == "automatic") return MomentsKernel::automatic;
  if (name == "bit_planes") return MomentsKernel::bit_planes;
  if (name == "row_lists") return MomentsKernel::row_lists;
  throw py::value_error("kernel must be automatic, bit_planes or row_lists, got " + name);
}

/// `component` may be None: triples are then not counted.
Relations as_relations(const std::optional<Array<std::uint8_t>>& disjoint,
                       const std::optional<Array<std::int32_t>>& component, const BoundVotes& votes,
                       const StateCoding& coding) {
  Relations relations{true, {}};
  if (disjoint) {
    require_shape(disjoint->ndim() == 2 && disjoint->shape(0) == coding.n_states() &&
                      disjoint->shape(1) == coding.n_states(),
                  "disjoint must have shape (n_states, n_states)");
    relations.conflict_by_difference = false;
    relations.disjoint = as_std_vector(*disjoint);
  }
  if (component) {
    const Index m = votes.view().n_sources;
    require_shape(component->ndim() == 1 && component->size() == m,
                  "component must have shape (n_sources,)");
    require_shape(coding.components() == nullptr,
                  "component is about sources, which this coding reads together");
    relations.component_of = as_std_vector(*component);
    for (const std::int32_t c : relations.component_of) {
      require_shape(c >= 0 && c < m, "component must lie in [0, n_sources)");
    }
  }
  return relations;
}

template <class Weight>
py::dict count_weighted(const BoundVotes& votes, const StateCoding& coding,
                        const Array<Weight>& weights,
                        const std::optional<Array<std::uint8_t>>& disjoint,
                        const std::optional<Array<std::int32_t>>& component, int n_threads) {
  require_shape(weights.ndim() == 1 && weights.size() == votes.view().n_items,
                "weights must have shape (n_items,)");
  const Relations relations = as_relations(disjoint, component, votes, coding);
  const Execution execution = interruptible(n_threads);
  Moments<Weight> moments;
  {
    const py::gil_scoped_release unlocked;
    const StateReader reader(votes.view(), coding);
    moments = count_moments(reader, relations, weights.data(), execution);
  }
  return to_dict(std::move(moments));
}

}  // namespace

void bind_moments(py::module_& m) {
  m.attr("MAX_NODES") = kMaxNodes;
  m.def(
      "count_moments",
      [](const BoundVotes& votes, const StateCoding& coding,
         const std::optional<Array<std::uint8_t>>& disjoint,
         const std::optional<Array<std::int32_t>>& component, const std::string& kernel,
         int n_threads) {
        const Relations relations = as_relations(disjoint, component, votes, coding);
        const MomentsKernel chosen = kernel_named(kernel);
        const Execution execution = interruptible(n_threads);
        Moments<std::int64_t> moments;
        {
          const py::gil_scoped_release unlocked;
          const StateReader reader(votes.view(), coding);
          moments = count_moments(reader, relations, chosen, execution);
        }
        return to_dict(std::move(moments));
      },
      "votes"_a, "coding"_a, "disjoint"_a.noconvert(), py::kw_only(),
      "component"_a.noconvert() = py::none(), "kernel"_a = "automatic", "n_threads"_a);

  m.def("count_weighted_moments", &count_weighted<std::int64_t>, "votes"_a, "coding"_a,
        "weights"_a.noconvert(), "disjoint"_a.noconvert(), py::kw_only(),
        "component"_a.noconvert() = py::none(), "n_threads"_a);
  m.def("count_weighted_moments", &count_weighted<double>, "votes"_a, "coding"_a,
        "weights"_a.noconvert(), "disjoint"_a.noconvert(), py::kw_only(),
        "component"_a.noconvert() = py::none(), "n_threads"_a);

  m.def(
      "count_marginals",
      [](const BoundVotes& votes, const StateCoding& coding,
         const std::optional<Array<std::uint8_t>>& disjoint,
         const std::optional<Array<std::int64_t>>& weights, int n_threads) {
        const Relations relations = as_relations(disjoint, std::nullopt, votes, coding);
        return marginals_of(votes, coding, weights, relations, n_threads);
      },
      "votes"_a, "coding"_a, "disjoint"_a.noconvert(), "weights"_a.noconvert(), py::kw_only(),
      "n_threads"_a);
  m.def(
      "count_marginals",
      [](const BoundVotes& votes, const StateCoding& coding,
         const std::optional<Array<std::uint8_t>>& disjoint, const Array<double>& weights,
         int n_threads) {
        const Relations relations = as_relations(disjoint, std::nullopt, votes, coding);
        return marginals_of(votes, coding, std::optional(weights), relations, n_threads);
      },
      "votes"_a, "coding"_a, "disjoint"_a.noconvert(), "weights"_a.noconvert(), py::kw_only(),
      "n_threads"_a);

  m.def(
      "choose_kernel",
      [](const BoundVotes& votes, const StateCoding& coding) -> std::string {
        const py::gil_scoped_release unlocked;
        const StateReader reader(votes.view(), coding);
        return choose_kernel(reader) == MomentsKernel::bit_planes ? "bit_planes" : "row_lists";
      },
      "votes"_a, "coding"_a);
}

}  // namespace consilience::bindings
