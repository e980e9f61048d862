#include "consilience/linalg.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "consilience/errors.hpp"

namespace consilience {
namespace {

using Eigen::MatrixXd;

constexpr Index kPanel = 64;
constexpr Index kTile = 512;
constexpr double kDependent = 1e-8;  // share of a variance that rounding leaves of 0

void poll(const Execution& execution) {
  if (execution.poll) execution.poll();
}

double norm1(const MatrixXd& x) { return x.cwiseAbs().colwise().sum().maxCoeff(); }

struct Factorisation {
  Index stopped = -1;    // column whose pivot is not positive; -1 if there is none
  Index dependent = -1;  // first column that, to rounding, the ones before it determine
};

/// Lower Cholesky factor in place of the lower triangle.
Factorisation factorise(MatrixXd& a, const Execution& execution) {
  Factorisation found;
  const Eigen::VectorXd variance = a.diagonal();
  const Index d = a.rows();
  for (Index k = 0; k < d; k += kPanel) {
    const Index width = std::min(kPanel, d - k);
    const Index after = k + width;
    const Index rest = d - after;
    for (Index j = k; j < after; ++j) {
      const Index done = j - k;
      const double pivot = a(j, j) - a.block(j, k, 1, done).squaredNorm();
      if (found.dependent < 0 && !(pivot > kDependent * variance[j])) found.dependent = j;
      if (!(pivot > 0)) {
        found.stopped = j;
        return found;
      }
      a(j, j) = std::sqrt(pivot);
      for (Index i = j + 1; i < after; ++i) {
        a(i, j) =
            (a(i, j) - a.block(i, k, 1, done).cwiseProduct(a.block(j, k, 1, done)).sum()) / a(j, j);
      }
    }
    a.block(k, k, width, width).triangularView<Eigen::StrictlyUpper>().setZero();
    if (rest == 0) break;
    auto panel = a.block(after, k, rest, width);
    a.block(k, k, width, width)
        .triangularView<Eigen::Lower>()
        .transpose()
        .solveInPlace<Eigen::OnTheRight>(panel);
    for (Index j = after; j < d; j += kTile) {
      const Index columns = std::min(kTile, d - j);
      a.block(j, j, d - j, columns).noalias() -=
          a.block(j, k, d - j, width) * a.block(j, k, columns, width).transpose();
      poll(execution);
    }
  }
  return found;
}

/// Inverse of L L^T, a few columns at a time.
MatrixXd invert_factored(const MatrixXd& lower, const Execution& execution) {
  const Index d = lower.rows();
  const auto triangle = lower.triangularView<Eigen::Lower>();
  MatrixXd inverse(d, d);
  for (Index j = 0; j < d; j += kPanel) {
    const Index width = std::min(kPanel, d - j);
    MatrixXd columns = MatrixXd::Zero(d, width);
    columns.block(j, 0, width, width).setIdentity();
    // The first j entries of L^-1 e_j are 0.
    auto tail = columns.bottomRows(d - j);
    lower.bottomRightCorner(d - j, d - j).triangularView<Eigen::Lower>().solveInPlace(tail);
    poll(execution);
    triangle.transpose().solveInPlace(columns);
    inverse.middleCols(j, width) = columns;
    poll(execution);
  }
  return (inverse + inverse.transpose()) / 2;
}

}  // namespace

MatrixXd invert_covariance(const MatrixXd& covariance, double ridge, double min_reciprocal,
                           const Execution& execution) {
  if (covariance.rows() != covariance.cols()) {
    throw std::invalid_argument("covariance must be square");
  }
  if (!covariance.allFinite()) throw std::invalid_argument("covariance must be finite");
  const Index d = covariance.rows();
  if (d == 0) return covariance;
  MatrixXd a = covariance;
  a.diagonal().array() += ridge;
  MatrixXd lower = a;
  const Factorisation found = factorise(lower, execution);
  if (found.stopped >= 0) throw SingularCovariance(found.dependent, 0.0);
  const MatrixXd inverse = invert_factored(lower, execution);
  const double reciprocal = 1.0 / (norm1(a) * norm1(inverse));
  if (!(reciprocal >= min_reciprocal)) {
    Index column = found.dependent;
    if (column < 0) inverse.diagonal().maxCoeff(&column);  // no copy: the least variance
    throw SingularCovariance(column, reciprocal);
  }
  return inverse;
}

}  // namespace consilience
