#include <pybind11/stl.h>

#include "arrays.hpp"
#include "consilience/errors.hpp"
#include "consilience/states.hpp"

namespace consilience::bindings {

using namespace pybind11::literals;

BoundVotes::BoundVotes(const py::sequence& tables, Index n_items, Index n_sources,
                       std::vector<std::int32_t> cardinalities)
    : view_{n_items, n_sources, {}, std::move(cardinalities)} {
  require_shape(tables.size() == view_.cardinalities.size() && tables.size() > 0,
                "there must be one table for each cardinality, and at least one");
  require_shape(n_items >= 0 && n_sources >= 1, "n_items must be >= 0 and n_sources >= 1");
  for (const std::int32_t cardinality : view_.cardinalities) {
    require_shape(cardinality >= 1 && cardinality < (1 << 30),
                  "cardinalities must be in [1, 2^30)");
  }
  for (const py::handle table : tables) {
    if (py::isinstance<py::tuple>(table)) {
      const auto parts = py::cast<std::tuple<py::array, py::array, py::array>>(table);
      const auto& [indptr, indices, data] = parts;
      const SparseTable sparse{as_int_array(indptr, "indptr", n_items + 1),
                               as_int_array(indices, "indices", indices.size()),
                               as_int_array(data, "data", indices.size())};
      check_sparse_structure(sparse, n_items, n_sources, indices.size());
      view_.tables.emplace_back(sparse);
      kept_.insert(kept_.end(), {indptr, indices, data});
    } else {
      const auto dense = py::cast<py::array>(table);
      require_shape(dense.ndim() == 2 && dense.shape(0) == n_items && dense.shape(1) == n_sources,
                    "a dense table must have shape (n_items, n_sources) = (" +
                        std::to_string(n_items) + ", " + std::to_string(n_sources) + ")");
      view_.tables.emplace_back(DenseTable{static_cast<const std::byte*>(dense.data()),
                                           int_type(dense, "a dense table"), dense.strides(0),
                                           dense.strides(1)});
      kept_.push_back(dense);
    }
  }
}

void bind_votes(py::module_& m) {
  static py::exception<LabelOutOfRange> label_out_of_range(m, "LabelOutOfRange", PyExc_ValueError);
  static py::exception<SingularCovariance> singular(m, "SingularCovariance", PyExc_ValueError);
  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const LabelOutOfRange& error) {
      const py::tuple place =
          py::make_tuple(error.task, error.row, error.source, error.label, error.cardinality);
      PyErr_SetObject(label_out_of_range.ptr(), place.ptr());
    } catch (const SingularCovariance& error) {
      const py::tuple place = py::make_tuple(error.column, error.reciprocal_condition);
      PyErr_SetObject(singular.ptr(), place.ptr());
    }
  });

  py::class_<BoundVotes>(m, "VoteView")
      .def(py::init<const py::sequence&, Index, Index, std::vector<std::int32_t>>(), "tables"_a,
           "n_items"_a, "n_sources"_a, "cardinalities"_a);

  py::class_<StateCoding>(m, "StateCoding")
      .def_static("of_one_task", &StateCoding::of_one_task, "cardinality"_a)
      .def(py::init([](const Array<VoteKey>& keys, const Array<std::int32_t>& states,
                       VoteKey n_keys, std::int32_t n_states) {
             require_shape(keys.size() == states.size(), "keys and states must be equally long");
             require_shape(n_states >= 1, "n_states must be at least 1");
             for (py::ssize_t q = 0; q < keys.size(); ++q) {
               require_shape(keys.at(q) < n_keys && states.at(q) >= 0 && states.at(q) < n_states,
                             "keys must be below n_keys and states in [0, n_states)");
             }
             return StateCoding(as_std_vector(keys), as_std_vector(states), n_keys, n_states);
           }),
           "keys"_a.noconvert(), "states"_a.noconvert(), "n_keys"_a, "n_states"_a)
      .def(
          "with_components",
          [](const StateCoding& coding, const Array<std::int32_t>& start,
             const Array<std::int32_t>& component_of, const Array<std::int32_t>& contribution,
             Index n_components, std::int32_t n_states) {
            return coding.with_components({n_components, n_states, as_std_vector(start),
                                           as_std_vector(component_of),
                                           as_std_vector(contribution)});
          },
          "start"_a.noconvert(), "component_of"_a.noconvert(), "contribution"_a.noconvert(),
          py::kw_only(), "n_components"_a, "n_states"_a)
      .def_property_readonly("n_states", &StateCoding::n_states);

  m.def("key_strides", &key_strides, "cardinalities"_a);

  m.def(
      "largest_labels",
      [](const BoundVotes& votes, int n_threads) {
        const Execution execution = interruptible(n_threads);
        const py::gil_scoped_release unlocked;
        return largest_labels(votes.view(), execution);
      },
      "votes"_a, py::kw_only(), "n_threads"_a);

  m.def(
      "vote_vectors",
      [](const BoundVotes& votes, int n_threads) {
        const Execution execution = interruptible(n_threads);
        VoteVectors found;
        {
          const py::gil_scoped_release unlocked;
          found = vote_vectors(votes.view(), execution);
        }
        const auto q = static_cast<py::ssize_t>(found.keys.size());
        return py::make_tuple(to_array(std::move(found.keys)),
                              to_array(std::move(found.counts),
                                       {q, static_cast<py::ssize_t>(votes.view().n_sources)}));
      },
      "votes"_a, py::kw_only(), "n_threads"_a);

  m.def(
      "read_states",
      [](const BoundVotes& votes, const StateCoding& coding, int n_threads) {
        const Execution execution = interruptible(n_threads);
        std::vector<std::int32_t> states;
        Index n_columns = 0;
        {
          const py::gil_scoped_release unlocked;
          const StateReader reader(votes.view(), coding);
          n_columns = reader.n_columns();
          states = read_states(reader, execution);
        }
        return to_array(std::move(states), {static_cast<py::ssize_t>(votes.view().n_items),
                                            static_cast<py::ssize_t>(n_columns)});
      },
      "votes"_a, "coding"_a, py::kw_only(), "n_threads"_a);
}

}  // namespace consilience::bindings
