// How strongly the rows of a population of tables keep to a common pattern.
#pragma once

#include <vector>

#include "consilience/types.hpp"

namespace consilience {

/// Logarithm of the probability of counts, (n, n_states) row by row, when each row's probabilities
/// are drawn from a Dirichlet distribution around its centre (rows sum to 1), for each strength of
/// it. Counts may be fractions; a state whose centre is 0 is left out.
std::vector<double> dirichlet_evidence(const double* counts, const double* centre, Index n,
                                       Index n_states, const std::vector<double>& strengths);

}  // namespace consilience
