// How strongly the rows of a population of tables keep to a common pattern.
#pragma once

#include <cstdint>
#include <vector>

#include "consilience/types.hpp"

namespace consilience {

/// Logarithm of the probability of counts when, for each group of rows and each of the K columns,
/// they are drawn with probabilities from a Dirichlet distribution around a centre, for each
/// strength of it. Rows that belong to a group stand together.
///
/// Counts may be fractions. A cell whose centre is 0 is left out; one whose count is 0 changes
/// nothing, so that a group need not have the rows of all outcomes.
/// @param counts, centre  (n, K), n the size of `group`.
std::vector<double> dirichlet_evidence(const double* counts, const double* centre, Index n_vectors,
                                       const std::vector<std::int64_t>& group,
                                       const std::vector<double>& strengths);

}  // namespace consilience
