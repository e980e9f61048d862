#include "arrays.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() =
      "Compiled kernels of consilience: votes as borrowed views, their moments, the masked "
      "rank-one completion and the posterior.";
  m.attr("__version__") = CONSILIENCE_VERSION;
  consilience::bindings::bind_votes(m);
  consilience::bindings::bind_moments(m);
  consilience::bindings::bind_rank_one(m);
  consilience::bindings::bind_posterior(m);
  consilience::bindings::bind_expectation(m);
  consilience::bindings::bind_simd(m);
}
