#include "consilience/evidence.hpp"

#include <cmath>

namespace consilience {

std::vector<double> dirichlet_evidence(const double* counts, const double* centre, Index n,
                                       Index n_states, const std::vector<double>& strengths) {
  std::vector<double> result;
  result.reserve(strengths.size());
  for (const double strength : strengths) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) {
      double total = 0;
      for (Index s = i * n_states; s < (i + 1) * n_states; ++s) {
        if (!(centre[s] > 0) || !(counts[s] > 0)) continue;
        const double prior = strength * centre[s];
        sum += std::lgamma(prior + counts[s]) - std::lgamma(prior);
        total += counts[s];
      }
      if (total > 0) sum += std::lgamma(strength) - std::lgamma(strength + total);
    }
    result.push_back(sum);
  }
  return result;
}

}  // namespace consilience
