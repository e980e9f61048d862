#include "consilience/linalg.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <stdexcept>

#include "consilience/errors.hpp"

namespace consilience {
namespace {

using Eigen::MatrixXd;

constexpr Index kPanel = 64;
constexpr Index kTile = 512;

void poll(const Execution& execution) {
  if (execution.poll) execution.poll();
}

double norm1(const MatrixXd& x) { return x.cwiseAbs().colwise().sum().maxCoeff(); }

/// First column that is, to rounding, a combination of the ones before it; -1 if none is.
Index first_dependent_column(const MatrixXd& a) {
  MatrixXd work = a;
  for (Index k = 0; k < a.rows(); ++k) {
    if (!(work(k, k) > 1e-10 * a(k, k))) return k;
    const Index rest = a.rows() - k - 1;
    work.bottomRightCorner(rest, rest) -=
        work.col(k).tail(rest) * work.row(k).tail(rest) / work(k, k);
  }
  return -1;
}

/// Lower Cholesky factor in place of the lower triangle. False if a pivot is not positive.
bool factorise(MatrixXd& a, const Execution& execution) {
  const Index d = a.rows();
  for (Index k = 0; k < d; k += kPanel) {
    const Index width = std::min(kPanel, d - k);
    const Index after = k + width;
    const Index rest = d - after;
    const Eigen::LLT<MatrixXd> pivot(a.block(k, k, width, width));
    if (pivot.info() != Eigen::Success) return false;
    a.block(k, k, width, width) = pivot.matrixL();
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
  return true;
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
  if (!factorise(lower, execution)) {
    throw SingularCovariance(std::max<Index>(0, first_dependent_column(a)), 0.0);
  }
  const MatrixXd inverse = invert_factored(lower, execution);
  const double reciprocal = 1.0 / (norm1(a) * norm1(inverse));
  if (!(reciprocal >= min_reciprocal)) {
    throw SingularCovariance(std::max<Index>(0, first_dependent_column(a)), reciprocal);
  }
  return inverse;
}

}  // namespace consilience
