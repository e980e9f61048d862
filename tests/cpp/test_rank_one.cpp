#include "consilience/rank_one.hpp"

#include <doctest/doctest.h>

#include <Eigen/Cholesky>
#include <cmath>
#include <stdexcept>

#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

VectorXd random_vector(Random& random, Index d, double low, double high) {
  VectorXd z(d);
  for (double& entry : z) entry = random.uniform(low, high);
  return z;
}

/// A vector with entries of either sign, none near 0.
VectorXd random_z(Random& random, Index d) {
  VectorXd z = random_vector(random, d, 0.3, 1.0);
  for (double& entry : z) entry *= random.below(2) == 0 ? 1 : -1;
  return z;
}

/// Weights on a share of the pairs; every entry takes part in a triangle, so z is determined.
MatrixXd random_mask(Random& random, Index d, double share) {
  MatrixXd weight = MatrixXd::Zero(d, d);
  for (Index a = 0; a < d; ++a) {
    for (Index b = 0; b < a; ++b) {
      const bool keeps = b == a - 1 || b == a - 2 || random.uniform() < share;
      if (keeps) weight(a, b) = weight(b, a) = random.uniform(0.5, 2);
    }
  }
  return weight;
}

RankOneProblem random_problem(Random& random, Index d, double share) {
  MatrixXd target(d, d);
  for (double& entry : target.reshaped()) entry = random.uniform(-1, 1);
  return {(target + target.transpose()).eval(), random_mask(random, d, share)};
}

/// Largest difference between two vectors, up to one sign.
double distance(const VectorXd& a, const VectorXd& b) {
  return std::min((a - b).cwiseAbs().maxCoeff(), (a + b).cwiseAbs().maxCoeff());
}

TEST_CASE("the loss is the weighted sum of squared residuals over pairs, each once") {
  Random random(1);
  RankOneProblem problem = random_problem(random, 9, 0.5);
  problem.weight.diagonal().setConstant(100);  // to be ignored
  const VectorXd z = random_z(random, 9);
  double expected = 0;
  for (Index a = 0; a < 9; ++a) {
    for (Index b = a + 1; b < 9; ++b) {
      expected += problem.weight(a, b) * std::pow(problem.target(a, b) - z[a] * z[b], 2);
    }
  }
  CHECK(rank_one_loss(problem, z) == doctest::Approx(expected).epsilon(1e-13));
}

TEST_CASE("the gradient is that of central differences of the loss") {
  for (const Index d : {2, 3, 10, 25}) {
    Random random(static_cast<std::uint64_t>(d));
    RankOneProblem problem = random_problem(random, d, 0.5);
    problem.weight.diagonal().setConstant(100);  // to be ignored
    const VectorXd z = random_z(random, d);
    const VectorXd gradient = rank_one_gradient(problem, z);
    constexpr double h = 1e-5;
    for (Index a = 0; a < d; ++a) {
      const VectorXd step = h * VectorXd::Unit(d, a);
      const double slope =
          (rank_one_loss(problem, z + step) - rank_one_loss(problem, z - step)) / (2 * h);
      CHECK(std::fabs(gradient[a] - slope) < 1e-7);  // h^2 f''' / 6, and 1e-15 / h from rounding
    }
  }
}

TEST_CASE("the Hessian is that of central differences of the gradient") {
  for (const Index d : {2, 3, 10, 25}) {
    Random random(static_cast<std::uint64_t>(100 + d));
    RankOneProblem problem = random_problem(random, d, 0.5);
    problem.weight.diagonal().setConstant(100);  // to be ignored
    const VectorXd z = random_z(random, d);
    const MatrixXd hessian = rank_one_hessian(problem, z);
    constexpr double h = 1e-5;
    for (Index a = 0; a < d; ++a) {
      const VectorXd step = h * VectorXd::Unit(d, a);
      const VectorXd slope =
          (rank_one_gradient(problem, z + step) - rank_one_gradient(problem, z - step)) / (2 * h);
      CHECK((hessian.col(a) - slope).cwiseAbs().maxCoeff() < 1e-7);
    }
  }
}

TEST_CASE("an exact rank-one target is completed exactly from a rough start, through any mask") {
  for (const Index d : {3, 4, 7, 20, 60}) {
    for (const double share : {0.0, 0.3, 1.0}) {
      CAPTURE(d);
      CAPTURE(share);
      Random random(static_cast<std::uint64_t>(1000 * d) + static_cast<std::uint64_t>(10 * share));
      const VectorXd z = random_z(random, d);
      RankOneProblem problem{z * z.transpose(), random_mask(random, d, share)};
      // What the mask hides must not matter.
      for (Index a = 0; a < d; ++a) {
        for (Index b = 0; b < d; ++b) {
          if (a == b || problem.weight(a, b) == 0) problem.target(a, b) = 50;
        }
      }
      const VectorXd start = z.cwiseProduct(random_vector(random, d, 0.7, 1.4));
      const RankOneFit fit = complete_rank_one(problem, start, 500, 1e-12, {});
      CHECK(fit.converged);
      CHECK(distance(fit.z, z) < 1e-9);
      CHECK(fit.loss < 1e-18);
    }
  }
}

TEST_CASE("a target beyond the size of dense Newton steps is completed as exactly") {
  constexpr Index d = 640;
  Random random(7);
  const VectorXd z = random_z(random, d);
  const RankOneProblem problem{z * z.transpose(), random_mask(random, d, 0.05)};
  const VectorXd start = z.cwiseProduct(random_vector(random, d, 0.8, 1.25));
  const RankOneFit fit = complete_rank_one(problem, start, 200, 1e-10, {});
  CHECK(fit.converged);
  CHECK(distance(fit.z, z) < 1e-7);
}

TEST_CASE("weights of very different sizes do not keep an exact target from being found") {
  Random random(8);
  const VectorXd z = random_z(random, 12);
  RankOneProblem problem{z * z.transpose(), random_mask(random, 12, 1.0)};
  const VectorXd scale = random_vector(random, 12, -4, 4).array().exp();
  problem.weight = scale.asDiagonal() * problem.weight * scale.asDiagonal();
  const VectorXd start = z.cwiseProduct(random_vector(random, 12, 0.7, 1.4));
  const RankOneFit fit = complete_rank_one(problem, start, 500, 1e-12, {});
  CHECK(fit.converged);
  CHECK(distance(fit.z, z) < 1e-8);
}

TEST_CASE("the loss is never above that of the start, whatever the problem") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Index d = 2 + random.below(14);
    const RankOneProblem problem = random_problem(random, d, random.uniform());
    const VectorXd start = random_vector(random, d, -2, 2);
    const RankOneFit fit = complete_rank_one(problem, start, 500, 1e-10, {});
    CHECK(fit.loss <= rank_one_loss(problem, start));
    CHECK(fit.loss == rank_one_loss(problem, fit.z));
  }
}

TEST_CASE("the gradient vanishes where a noisy target is fitted best") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Index d = 5 + random.below(40);
    const VectorXd z = random_z(random, d);
    RankOneProblem problem = random_problem(random, d, 0.8);
    problem.target = z * z.transpose() + 0.05 * problem.target;
    const VectorXd start = z.cwiseProduct(random_vector(random, d, 0.7, 1.4));
    const RankOneFit fit = complete_rank_one(problem, start, 500, 1e-10, {});
    CHECK(fit.converged);
    CHECK(fit.gradient_norm <= 1e-10);
    problem.weight.diagonal().setZero();
    const double largest = rank_one_gradient(problem, fit.z).cwiseAbs().maxCoeff();
    const double scale =
        2 * (problem.weight.cwiseProduct(problem.target).cwiseAbs() * fit.z.cwiseAbs()).maxCoeff();
    CHECK(largest <= 1.01e-10 * scale);
    CHECK(rank_one_hessian(problem, fit.z).ldlt().isPositive());  // a minimum, no saddle
  }
}

TEST_CASE("a target that no finite z fits best leaves z finite and the loss above its bound") {
  // Signs that no z has: the loss only falls towards its bound as one entry grows for ever.
  RankOneProblem problem{MatrixXd::Ones(3, 3), MatrixXd::Ones(3, 3)};
  problem.target(0, 1) = problem.target(1, 0) = -1;
  const VectorXd start = (VectorXd(3) << 0.9, 1.0, 1.1).finished();
  const RankOneFit fit = complete_rank_one(problem, start, 100, 1e-12, {});
  CHECK(fit.z.allFinite());
  CHECK(fit.loss <= rank_one_loss(problem, start));
  CHECK(fit.loss >= 1 - 1e-9);  // the bound: one of three pairs is explained no better than by 0
}

TEST_CASE("more iterations never raise the loss") {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const RankOneProblem problem = random_problem(random, 10, 0.4);
    const VectorXd start = random_vector(random, 10, -2, 2);
    double before = rank_one_loss(problem, start);
    for (int n = 1; n < 40; ++n) {
      const double loss = complete_rank_one(problem, start, n, 1e-10, {}).loss;
      CHECK(loss <= before * (1 + 1e-12) + 1e-14);  // rounding, at the minimum
      before = loss;
    }
  }
}

TEST_CASE("entries without weight are 0") {
  Random random(9);
  const VectorXd z = random_z(random, 6);
  RankOneProblem problem{z * z.transpose(), random_mask(random, 6, 1.0)};
  problem.weight.row(2).setZero();
  problem.weight.col(2).setZero();
  problem.weight(2, 2) = 5;  // the diagonal is no weight
  const VectorXd start = 1.1 * z;
  const RankOneFit fit = complete_rank_one(problem, start, 500, 1e-12, {});
  CHECK(fit.z[2] == 0);
  VectorXd expected = z;
  expected[2] = 0;
  CHECK(distance(fit.z, expected) < 1e-9);
}

TEST_CASE("a problem without any weight, or without entries, is solved by zeros") {
  const RankOneProblem none{MatrixXd::Ones(3, 3), MatrixXd::Zero(3, 3)};
  const RankOneFit fit = complete_rank_one(none, VectorXd::Ones(3), 500, 1e-10, {});
  CHECK(fit.z == VectorXd::Zero(3));
  CHECK(fit.loss == 0);
  CHECK(fit.converged);
  const RankOneProblem empty{MatrixXd(0, 0), MatrixXd(0, 0)};
  CHECK(complete_rank_one(empty, VectorXd(0), 500, 1e-10, {}).converged);
}

TEST_CASE("too few iterations are reported as not converged") {
  Random random(10);
  const RankOneProblem problem = random_problem(random, 20, 0.3);
  const RankOneFit fit = complete_rank_one(problem, random_z(random, 20), 1, 1e-14, {});
  CHECK_FALSE(fit.converged);
  CHECK(fit.n_iterations == 1);
}

TEST_CASE("wrong shapes, negative weights and entries that are not finite are refused") {
  const VectorXd start = VectorXd::Ones(3);
  const MatrixXd fine = MatrixXd::Ones(3, 3), wide = MatrixXd::Ones(3, 4);
  MatrixXd bad = fine;
  const auto complete = [](const MatrixXd& target, const MatrixXd& weight, const VectorXd& z) {
    complete_rank_one({target, weight}, z, 10, 1e-10, {});
  };
  CHECK_THROWS_AS(complete(wide, fine, start), std::invalid_argument);
  CHECK_THROWS_AS(complete(fine, wide, start), std::invalid_argument);
  CHECK_THROWS_AS(complete(fine, fine, VectorXd::Ones(2)), std::invalid_argument);
  bad(0, 1) = -1;
  CHECK_THROWS_AS(complete(fine, bad, start), std::invalid_argument);
  bad(0, 1) = std::nan("");
  CHECK_THROWS_AS(complete(bad, fine, start), std::invalid_argument);
  CHECK_THROWS_AS(complete(fine, bad, start), std::invalid_argument);
  CHECK_THROWS_AS(complete(fine, fine, VectorXd::Constant(3, INFINITY)), std::invalid_argument);
}

TEST_CASE("a poll that throws ends a completion") {
  Random random(11);
  const RankOneProblem problem = random_problem(random, 20, 0.3);
  const Execution stop{1, [] { throw std::runtime_error("stop"); }};
  CHECK_THROWS_WITH(complete_rank_one(problem, random_z(random, 20), 100, 1e-10, stop), "stop");
}

}  // namespace
}  // namespace consilience::test
