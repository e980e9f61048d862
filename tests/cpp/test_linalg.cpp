#include "consilience/linalg.hpp"

#include <doctest/doctest.h>

#include <Eigen/LU>
#include <cmath>
#include <stdexcept>

#include "consilience/errors.hpp"
#include "vote_arrays.hpp"

namespace consilience::test {
namespace {

using Eigen::MatrixXd;

MatrixXd random_matrix(Random& random, Index rows, Index columns) {
  MatrixXd x(rows, columns);
  for (double& entry : x.reshaped()) entry = random.uniform(-1, 1);
  return x;
}

MatrixXd random_covariance(std::uint64_t seed, Index d) {
  Random random(seed);
  const MatrixXd x = random_matrix(random, 2 * d + 10, d);
  return x.transpose() * x / static_cast<double>(x.rows());
}

/// Column at which the inversion fails, -1 if it does not.
Index singular_column(const MatrixXd& covariance, double min_reciprocal = 1e-12) {
  try {
    invert_covariance(covariance, 0.0, min_reciprocal, {});
  } catch (const SingularCovariance& error) {
    return error.column;
  }
  return -1;
}

TEST_CASE("the inverse is that of an LU factorisation, and symmetric") {
  for (const Index d : {1, 2, 5, 63, 64, 65, 127, 128, 130, 300}) {
    CAPTURE(d);
    const MatrixXd covariance = random_covariance(static_cast<std::uint64_t>(d), d);
    const MatrixXd expected = covariance.partialPivLu().inverse();
    const MatrixXd inverse = invert_covariance(covariance, 0.0, 1e-12, {});
    // A few thousand units in the last place: condition numbers here are below 1000.
    CHECK((inverse - expected).cwiseAbs().maxCoeff() < 1e-12 * expected.cwiseAbs().maxCoeff());
    CHECK(inverse == inverse.transpose());
  }
}

TEST_CASE("a panel's trailing columns are updated in several pieces as in one") {
  const MatrixXd covariance = random_covariance(1, 600);  // pieces are 512 columns wide
  const MatrixXd inverse = invert_covariance(covariance, 0.0, 1e-12, {});
  const double error = (covariance * inverse.col(7) - Eigen::VectorXd::Unit(600, 7)).norm() +
                       (covariance * inverse.col(590) - Eigen::VectorXd::Unit(600, 590)).norm();
  CHECK(error < 1e-11);
}

TEST_CASE("a ridge is added to the diagonal") {
  const MatrixXd covariance = random_covariance(2, 20);
  const MatrixXd shifted = covariance + 0.5 * MatrixXd::Identity(20, 20);
  CHECK(invert_covariance(covariance, 0.5, 1e-12, {}) ==
        invert_covariance(shifted, 0.0, 1e-12, {}));
}

TEST_CASE("a singular covariance names the first column that those before it determine") {
  for (const Index d : {2, 10, 70, 150}) {
    for (const Index column : {Index{1}, d / 2, d - 1}) {
      CAPTURE(d);
      CAPTURE(column);
      Random random(static_cast<std::uint64_t>(d + column));
      MatrixXd x = random_matrix(random, 2 * d + 10, d);
      x.col(column) = x.leftCols(column) * random_matrix(random, column, 1);
      if (column + 1 < d) x.col(d - 1) = x.col(0);  // another one, later
      CHECK(singular_column(x.transpose() * x) == column);
    }
  }
}

TEST_CASE("indicators of which one is 1 on every item have a singular covariance") {
  // Two indicators that exclude each other and leave no item out: the second is determined.
  MatrixXd covariance(3, 3);
  covariance << 0.21, -0.21, 0.02, -0.21, 0.21, -0.02, 0.02, -0.02, 0.25;
  CHECK(singular_column(covariance) == 1);
}

TEST_CASE("an indicator that does not vary is named") {
  MatrixXd covariance = random_covariance(3, 5);
  covariance.row(3).setZero();
  covariance.col(3).setZero();
  CHECK(singular_column(covariance) == 3);
}

TEST_CASE("a matrix that is no covariance is singular, not inverted") {
  MatrixXd covariance = random_covariance(4, 8);
  covariance(5, 5) = -1;
  CHECK(singular_column(covariance) == 5);
}

TEST_CASE("an indicator whose variance is far below the others' is named when that is too far") {
  Eigen::VectorXd variances(4);
  variances << 1, 2, 1e-14, 1;
  CHECK(singular_column(variances.asDiagonal()) == 2);
}

TEST_CASE("the reciprocal condition that is still inverted is the caller's choice") {
  MatrixXd covariance(2, 2);
  covariance << 1, 1 - 1e-6, 1 - 1e-6, 1;
  CHECK(singular_column(covariance, 1e-12) == -1);
  CHECK(singular_column(covariance, 1e-3) != -1);
  try {
    invert_covariance(covariance, 0.0, 1e-3, {});
  } catch (const SingularCovariance& error) {
    CHECK(error.reciprocal_condition == doctest::Approx(2.5e-7).epsilon(1e-3));
  }
}

TEST_CASE("a ridge makes a singular covariance invertible") {
  const MatrixXd ones = MatrixXd::Ones(4, 4);
  CHECK_THROWS_AS(invert_covariance(ones, 0.0, 1e-12, {}), SingularCovariance);
  const MatrixXd inverse = invert_covariance(ones, 0.1, 1e-12, {});
  const MatrixXd product = inverse * (ones + 0.1 * MatrixXd::Identity(4, 4));
  CHECK((product - MatrixXd::Identity(4, 4)).cwiseAbs().maxCoeff() < 1e-13);
}

TEST_CASE("matrices that are not square or not finite are refused, empty ones are their inverse") {
  CHECK_THROWS_AS(invert_covariance(MatrixXd::Ones(2, 3), 0, 1e-12, {}), std::invalid_argument);
  MatrixXd covariance = random_covariance(5, 3);
  covariance(2, 1) = std::nan("");
  CHECK_THROWS_AS(invert_covariance(covariance, 0, 1e-12, {}), std::invalid_argument);
  covariance(2, 1) = INFINITY;
  CHECK_THROWS_AS(invert_covariance(covariance, 0, 1e-12, {}), std::invalid_argument);
  CHECK(invert_covariance(MatrixXd(0, 0), 0, 1e-12, {}).size() == 0);
}

TEST_CASE("a poll that throws ends an inversion") {
  const Execution stop{1, [] { throw std::runtime_error("stop"); }};
  CHECK_THROWS_WITH(invert_covariance(random_covariance(6, 100), 0, 1e-12, stop), "stop");
}

}  // namespace
}  // namespace consilience::test
