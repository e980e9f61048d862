#include "consilience/rank_one.hpp"

#include <Eigen/Cholesky>
#include <cmath>
#include <stdexcept>
#include <string>

namespace consilience {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Index kMaxDense = 600;  // above, Newton steps by conjugate gradients
constexpr int kFirstSweeps = 10;

void poll(const Execution& execution) {
  if (execution.poll) execution.poll();
}

void check(const RankOneProblem& problem, const VectorXd& start) {
  const Index d = start.size();
  const auto is_square = [d](const MatrixXd& x) { return x.rows() == d && x.cols() == d; };
  if (!is_square(problem.target) || !is_square(problem.weight)) {
    throw std::invalid_argument("target and weight must be (d, d) with d = " + std::to_string(d) +
                                ", the length of start");
  }
  if (!problem.target.allFinite() || !problem.weight.allFinite() || !start.allFinite()) {
    throw std::invalid_argument("target, weight and start must be finite");
  }
  if (d > 0 && problem.weight.minCoeff() < 0) {
    throw std::invalid_argument("weight must not be negative");
  }
}

/// The problem with its diagonal cleared, and the products that every step needs.
struct Masked {
  explicit Masked(const RankOneProblem& problem) : weight(problem.weight) {
    weight.diagonal().setZero();
    weighted_target = weight.cwiseProduct(problem.target);
    constant = 0.5 * weighted_target.cwiseProduct(problem.target).sum();
  }

  Index size() const { return weight.rows(); }

  VectorXd gradient(const VectorXd& z) const {
    const VectorXd squares = z.cwiseAbs2();
    return -2 * (weighted_target * z - z.cwiseProduct(weight * squares));
  }

  MatrixXd hessian(const VectorXd& z) const {
    MatrixXd h = -2 * weighted_target + 4 * weight.cwiseProduct(z * z.transpose());
    h.diagonal() = 2 * (weight * z.cwiseAbs2());
    return h;
  }

  /// Hessian times v, without forming the Hessian.
  VectorXd hessian_times(const VectorXd& z, const VectorXd& curvature, const VectorXd& v) const {
    return -2 * (weighted_target * v) + 4 * z.cwiseProduct(weight * z.cwiseProduct(v)) +
           curvature.cwiseProduct(v);
  }

  MatrixXd weight;
  MatrixXd weighted_target;
  double constant;
};

/// Exact minimisation over one entry after another: z_a = sum_b w t z_b / sum_b w z_b^2.
void sweep(const Masked& problem, VectorXd& z, const Execution& execution) {
  VectorXd squares = z.cwiseAbs2();
  for (Index a = 0; a < z.size(); ++a) {
    const double below = problem.weight.col(a).dot(squares);
    z[a] = below > 0 ? problem.weighted_target.col(a).dot(z) / below : 0.0;
    squares[a] = z[a] * z[a];
    if (a % 256 == 255) poll(execution);
  }
}

double relative_gradient(const Masked& problem, const VectorXd& z, const VectorXd& gradient) {
  const double scale = 2 * (problem.weighted_target.cwiseAbs() * z.cwiseAbs()).maxCoeff();
  return gradient.cwiseAbs().maxCoeff() / std::max(scale, 1e-300);
}

/// Solves (H + damping * diag(curvature)) step = -gradient. False if the matrix is not positive.
bool dense_step(const MatrixXd& hessian, const VectorXd& curvature, double damping,
                const VectorXd& gradient, VectorXd& step) {
  MatrixXd damped = hessian;
  damped.diagonal() += damping * curvature;
  const Eigen::LLT<MatrixXd> cholesky(damped);
  if (cholesky.info() != Eigen::Success) return false;
  step = cholesky.solve(-gradient);
  return step.allFinite();
}

/// The same by preconditioned conjugate gradients, as far as the curvature is positive.
bool iterative_step(const Masked& problem, const VectorXd& z, const VectorXd& curvature,
                    double damping, const VectorXd& gradient, VectorXd& step,
                    const Execution& execution) {
  const VectorXd scale = ((1 + damping) * curvature).cwiseInverse();
  step.setZero(z.size());
  VectorXd residual = -gradient;
  VectorXd preconditioned = scale.cwiseProduct(residual);
  VectorXd direction = preconditioned;
  double rho = residual.dot(preconditioned);
  const double goal = 1e-6 * std::sqrt(rho);
  for (int i = 0; i < 100; ++i) {
    poll(execution);
    const VectorXd image = problem.hessian_times(z, curvature, direction) +
                           damping * curvature.cwiseProduct(direction);
    const double along = direction.dot(image);
    if (!(along > 0)) return i > 0;
    const double length = rho / along;
    step += length * direction;
    residual -= length * image;
    preconditioned = scale.cwiseProduct(residual);
    const double next = residual.dot(preconditioned);
    if (std::sqrt(next) <= goal) break;
    direction = preconditioned + (next / rho) * direction;
    rho = next;
  }
  return step.allFinite();
}

}  // namespace

double rank_one_loss(const RankOneProblem& problem, const VectorXd& z) {
  double loss = 0;
  for (Index b = 0; b < z.size(); ++b) {
    for (Index a = 0; a < b; ++a) {
      const double residual = problem.target(a, b) - z[a] * z[b];
      loss += problem.weight(a, b) * residual * residual;
    }
  }
  return loss;
}

VectorXd rank_one_gradient(const RankOneProblem& problem, const VectorXd& z) {
  return Masked(problem).gradient(z);
}

MatrixXd rank_one_hessian(const RankOneProblem& problem, const VectorXd& z) {
  return Masked(problem).hessian(z);
}

RankOneFit complete_rank_one(const RankOneProblem& problem, const VectorXd& start,
                             int max_iterations, double tolerance, const Execution& execution) {
  check(problem, start);
  const Index d = start.size();
  RankOneFit fit{start, 0.0, 0.0, 0, true};
  if (d == 0) return fit;
  const Masked masked(problem);
  VectorXd& z = fit.z;
  fit.converged = false;

  for (; fit.n_iterations < std::min(kFirstSweeps, max_iterations); ++fit.n_iterations) {
    sweep(masked, z, execution);
  }
  double loss = rank_one_loss(problem, z);
  double damping = 1e-4;
  VectorXd step;
  while (true) {
    poll(execution);
    const VectorXd gradient = masked.gradient(z);
    fit.gradient_norm = relative_gradient(masked, z, gradient);
    fit.converged = fit.gradient_norm <= tolerance;
    if (fit.converged || fit.n_iterations >= max_iterations) break;
    ++fit.n_iterations;
    VectorXd curvature = 2 * (masked.weight * z.cwiseAbs2());
    const double floor = 1e-12 * std::max(curvature.maxCoeff(), 1e-300);
    curvature = curvature.cwiseMax(floor);
    const MatrixXd hessian = d <= kMaxDense ? masked.hessian(z) : MatrixXd();

    bool improved = false;
    for (; damping < 1e8; damping *= 10) {
      const bool solved =
          d <= kMaxDense ? dense_step(hessian, curvature, damping, gradient, step)
                         : iterative_step(masked, z, curvature, damping, gradient, step, execution);
      if (!solved) continue;
      const VectorXd candidate = z + step;
      const double candidate_loss = rank_one_loss(problem, candidate);
      // Within rounding of the minimum the loss no longer tells; the gradient does.
      const bool lower = candidate_loss < loss;
      const bool level = candidate_loss <= loss * (1 + 1e-12) + 1e-15 * masked.constant &&
                         relative_gradient(masked, candidate, masked.gradient(candidate)) <
                             0.5 * fit.gradient_norm;
      if (lower || level) {
        z = candidate;
        loss = candidate_loss;
        damping = std::max(damping / 30, 1e-14);
        improved = true;
        break;
      }
      poll(execution);
    }
    if (!improved) break;
  }
  for (Index a = 0; a < d; ++a) {
    if (masked.weight.col(a).maxCoeff() <= 0) z[a] = 0.0;
  }
  fit.loss = rank_one_loss(problem, z);
  // A stationary point to the precision of the data: nothing lowers the loss any more.
  fit.converged = fit.converged || fit.gradient_norm <= std::sqrt(tolerance);
  return fit;
}

}  // namespace consilience
