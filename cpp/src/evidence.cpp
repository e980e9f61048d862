#include "consilience/evidence.hpp"

#include <cmath>

namespace consilience {

std::vector<double> dirichlet_evidence(const double* counts, const double* centre, Index n_vectors,
                                       const std::vector<std::int64_t>& group,
                                       const std::vector<double>& strengths) {
  const std::size_t n = group.size();
  const auto k = static_cast<std::size_t>(n_vectors);
  std::vector<double> result;
  result.reserve(strengths.size());
  std::vector<double> totals(k);
  for (const double strength : strengths) {
    double sum = 0;
    double last_prior = 0, last_term = 0;  // most cells of a row have the same prior
    for (std::size_t begin = 0; begin < n;) {
      std::size_t end = begin;
      totals.assign(k, 0.0);
      for (; end < n && group[end] == group[begin]; ++end) {
        for (std::size_t y = 0; y < k; ++y) {
          const double count = counts[end * k + y];
          if (!(centre[end * k + y] > 0) || !(count > 0)) continue;
          const double prior = strength * centre[end * k + y];
          if (prior != last_prior) {
            last_prior = prior;
            last_term = std::lgamma(prior);
          }
          sum += std::lgamma(prior + count) - last_term;
          totals[y] += count;
        }
      }
      for (const double total : totals) {
        if (total > 0) sum += std::lgamma(strength) - std::lgamma(strength + total);
      }
      begin = end;
    }
    result.push_back(sum);
  }
  return result;
}

}  // namespace consilience
