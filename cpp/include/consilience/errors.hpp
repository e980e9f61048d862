// What the core throws beside std::invalid_argument.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "consilience/types.hpp"

namespace consilience {

/// A label outside [-1, cardinality), with the place where it stands.
class LabelOutOfRange : public std::out_of_range {
 public:
  LabelOutOfRange(Index at_task, Index at_row, Index of_source, std::int64_t found,
                  std::int64_t n_labels)
      : std::out_of_range("label " + std::to_string(found) + " of source " +
                          std::to_string(of_source) + " on row " + std::to_string(at_row) +
                          " of task " + std::to_string(at_task) + " is outside [-1, " +
                          std::to_string(n_labels) + ")"),
        task(at_task),
        row(at_row),
        source(of_source),
        label(found),
        cardinality(n_labels) {}

  Index task;
  Index row;
  Index source;
  std::int64_t label;
  std::int64_t cardinality;
};

/// A covariance that cannot be inverted; `column` is the first one that the others determine.
class SingularCovariance : public std::runtime_error {
 public:
  SingularCovariance(Index at_column, double reciprocal)
      : std::runtime_error("the covariance is singular at column " + std::to_string(at_column)),
        column(at_column),
        reciprocal_condition(reciprocal) {}

  Index column;
  double reciprocal_condition;
};

}  // namespace consilience
