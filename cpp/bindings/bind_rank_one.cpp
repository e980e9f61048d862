#include "arrays.hpp"
#include "consilience/linalg.hpp"
#include "consilience/rank_one.hpp"

namespace consilience::bindings {

using namespace pybind11::literals;

namespace {

RankOneProblem as_problem(const Array<double>& target, const Array<double>& weight,
                          const Array<double>& z) {
  RankOneProblem problem{as_matrix(target, "target"), as_matrix(weight, "weight")};
  require_shape(problem.target.rows() == z.size() && problem.target.cols() == z.size() &&
                    problem.weight.rows() == z.size() && problem.weight.cols() == z.size(),
                "target and weight must have shape (d, d), d the length of z");
  return problem;
}

}  // namespace

void bind_rank_one(py::module_& m) {
  py::class_<RankOneFit>(m, "RankOneFit")
      .def_property_readonly("z", [](const RankOneFit& fit) { return to_array(fit.z); })
      .def_readonly("loss", &RankOneFit::loss)
      .def_readonly("gradient_norm", &RankOneFit::gradient_norm)
      .def_readonly("n_iterations", &RankOneFit::n_iterations)
      .def_readonly("converged", &RankOneFit::converged);

  m.def(
      "complete_rank_one",
      [](const Array<double>& target, const Array<double>& weight, const Array<double>& start,
         int max_iterations, double tolerance) {
        const RankOneProblem problem = as_problem(target, weight, start);
        const Eigen::VectorXd z = as_vector(start, "start");
        const Execution execution = interruptible(1);
        const py::gil_scoped_release unlocked;
        return complete_rank_one(problem, z, max_iterations, tolerance, execution);
      },
      "target"_a.noconvert(), "weight"_a.noconvert(), "start"_a.noconvert(), py::kw_only(),
      "max_iterations"_a = 500, "tolerance"_a = 1e-10);

  m.def(
      "rank_one_loss",
      [](const Array<double>& target, const Array<double>& weight, const Array<double>& z) {
        return rank_one_loss(as_problem(target, weight, z), as_vector(z, "z"));
      },
      "target"_a.noconvert(), "weight"_a.noconvert(), "z"_a.noconvert());

  m.def(
      "rank_one_gradient",
      [](const Array<double>& target, const Array<double>& weight, const Array<double>& z) {
        return to_array(rank_one_gradient(as_problem(target, weight, z), as_vector(z, "z")));
      },
      "target"_a.noconvert(), "weight"_a.noconvert(), "z"_a.noconvert());

  m.def(
      "rank_one_hessian",
      [](const Array<double>& target, const Array<double>& weight, const Array<double>& z) {
        return to_array(rank_one_hessian(as_problem(target, weight, z), as_vector(z, "z")));
      },
      "target"_a.noconvert(), "weight"_a.noconvert(), "z"_a.noconvert());

  m.def(
      "invert_covariance",
      [](const Array<double>& covariance, double ridge, double min_reciprocal) {
        const Eigen::MatrixXd matrix = as_matrix(covariance, "covariance");
        const Execution execution = interruptible(1);
        Eigen::MatrixXd inverse;
        {
          const py::gil_scoped_release unlocked;
          inverse = invert_covariance(matrix, ridge, min_reciprocal, execution);
        }
        return to_array(inverse);
      },
      "covariance"_a.noconvert(), py::kw_only(), "ridge"_a = 0.0, "min_reciprocal"_a = 1e-12);
}

}  // namespace consilience::bindings
