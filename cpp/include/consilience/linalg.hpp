// Inverse of a covariance, in steps short enough to interrupt.
#pragma once

#include <Eigen/Core>

#include "consilience/types.hpp"

namespace consilience {

/// Inverse of `covariance + ridge * I`, by a blocked Cholesky factorisation.
///
/// @throws std::invalid_argument if the matrix is not square or holds an entry that is not finite.
/// @throws SingularCovariance if its reciprocal condition (1-norm) is below `min_reciprocal`.
Eigen::MatrixXd invert_covariance(const Eigen::MatrixXd& covariance, double ridge,
                                  double min_reciprocal, const Execution& execution);

}  // namespace consilience
