// Masked rank-one completion, the optimisation of Algorithm 1 (eq. 5) and of the forward moments.
#pragma once

#include <Eigen/Core>

#include "consilience/types.hpp"

namespace consilience {

/// Entries of a symmetric matrix to explain by z z^T, each with its weight.
///
/// Eq. (5), min_z || (Sigma_O^-1 + z z^T)_Omega ||^2, is target = -Sigma_O^-1 and weight = 1 on
/// Omega; the forward form [T6] is target = C / G and weight = G^2 / Var(C). The diagonal of the
/// weight is ignored.
struct RankOneProblem {
  Eigen::MatrixXd target;  // (d, d) symmetric
  Eigen::MatrixXd weight;  // (d, d) symmetric, at least 0
};

/// sum_{a<b} weight_ab (target_ab - z_a z_b)^2
double rank_one_loss(const RankOneProblem& problem, const Eigen::VectorXd& z);

/// Its gradient: g_a = -2 sum_{b != a} weight_ab (target_ab - z_a z_b) z_b.
Eigen::VectorXd rank_one_gradient(const RankOneProblem& problem, const Eigen::VectorXd& z);

/// Its Hessian: H_ab = -2 weight_ab (target_ab - 2 z_a z_b), H_aa = 2 sum_b weight_ab z_b^2.
Eigen::MatrixXd rank_one_hessian(const RankOneProblem& problem, const Eigen::VectorXd& z);

struct RankOneFit {
  Eigen::VectorXd z;  // (d,), up to one sign for each connected part of the mask
  double loss;
  double gradient_norm;  // largest |g_a|, relative to 2 sum_b |weight_ab target_ab z_b|
  int n_iterations;
  bool converged;
};

/// A minimum from `start`: coordinate sweeps, then Newton steps damped so that the loss never
/// grows. Entries of z without any weight are 0.
///
/// Stops at a relative gradient of `tolerance`, or when no step lowers the loss any more.
/// O(d^2) a sweep; a Newton step is O(d^3) up to d = 600, and conjugate gradients beyond.
/// @throws std::invalid_argument if shapes disagree or an entry is not finite.
RankOneFit complete_rank_one(const RankOneProblem& problem, const Eigen::VectorXd& start,
                             int max_iterations, double tolerance, const Execution& execution);

}  // namespace consilience
