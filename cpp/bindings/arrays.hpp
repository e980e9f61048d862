// Between numpy and the core: the only file that looks inside numpy buffers.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <Eigen/Core>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "consilience/types.hpp"

namespace consilience::bindings {

namespace py = pybind11;

/// One-dimensional and C-contiguous arrays of exactly this type.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

inline IntType int_type(const py::array& array, const char* name) {
  const char kind = array.dtype().kind();
  const py::ssize_t size = array.itemsize();
  const bool native = array.dtype().attr("isnative").cast<bool>();
  if ((kind == 'i' || kind == 'u') && native) {
    const bool is_signed = kind == 'i';
    switch (size) {
      case 1:
        return is_signed ? IntType::i8 : IntType::u8;
      case 2:
        return is_signed ? IntType::i16 : IntType::u16;
      case 4:
        return is_signed ? IntType::i32 : IntType::u32;
      case 8:
        return is_signed ? IntType::i64 : IntType::u64;
      default:
        break;
    }
  }
  throw py::type_error(std::string(name) + " must hold native integers, got dtype " +
                       py::str(array.dtype()).cast<std::string>());
}

inline void require_shape(bool holds, const std::string& rule) {
  if (!holds) throw py::value_error(rule);
}

/// A borrowed vector; the array must be one-dimensional and contiguous.
inline IntArray as_int_array(const py::array& array, const char* name, Index length) {
  require_shape(array.ndim() == 1 && array.shape(0) == length,
                std::string(name) + " must have shape (" + std::to_string(length) + ",)");
  require_shape((array.flags() & py::array::c_style) != 0,
                std::string(name) + " must be contiguous");
  return {static_cast<const std::byte*>(array.data()), int_type(array, name)};
}

inline Eigen::VectorXd as_vector(const Array<double>& array, const char* name) {
  require_shape(array.ndim() == 1, std::string(name) + " must be one-dimensional");
  return Eigen::Map<const Eigen::VectorXd>(array.data(), array.size());
}

/// A copy of a symmetric matrix (row or column order does not matter).
inline Eigen::MatrixXd as_matrix(const Array<double>& array, const char* name) {
  require_shape(array.ndim() == 2, std::string(name) + " must be two-dimensional");
  return Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
      array.data(), array.shape(0), array.shape(1));
}

template <class T>
std::vector<T> as_std_vector(const Array<T>& array) {
  return {array.data(), array.data() + array.size()};
}

/// An array that owns what the vector held; no copy.
template <class T>
py::array_t<T> to_array(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto* kept = new std::vector<T>(std::move(values));
  const py::capsule owner(kept, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(std::move(shape), kept->data(), owner);
}

template <class T>
py::array_t<T> to_array(std::vector<T>&& values) {
  const auto length = static_cast<py::ssize_t>(values.size());
  return to_array(std::move(values), {length});
}

inline py::array_t<double> to_array(const Eigen::VectorXd& vector) {
  return py::array_t<double>(vector.size(), vector.data());
}

inline py::array_t<double> to_array(const Eigen::MatrixXd& matrix) {
  py::array_t<double> result({matrix.rows(), matrix.cols()});
  Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
      result.mutable_data(), matrix.rows(), matrix.cols()) = matrix;
  return result;
}

/// Runs on `n_threads`; every 50 ms lets Python handle its signals, so that Ctrl-C ends the call.
/// Use with the GIL released.
inline Execution interruptible(int n_threads) {
  require_shape(n_threads >= 1, "n_threads must be at least 1, got " + std::to_string(n_threads));
  using Clock = std::chrono::steady_clock;
  return {n_threads, [last = Clock::now()]() mutable {
            const Clock::time_point now = Clock::now();
            if (now - last < std::chrono::milliseconds(50)) return;
            last = now;
            const py::gil_scoped_acquire locked;
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
          }};
}

/// The votes of a caller, with the arrays that hold them.
class BoundVotes {
 public:
  BoundVotes(const py::sequence& tables, Index n_items, Index n_sources,
             std::vector<std::int32_t> cardinalities);
  const VoteView& view() const { return view_; }

 private:
  VoteView view_;
  std::vector<py::object> kept_;
};

void bind_votes(py::module_& m);
void bind_moments(py::module_& m);
void bind_rank_one(py::module_& m);
void bind_posterior(py::module_& m);
void bind_expectation(py::module_& m);
void bind_simd(py::module_& m);

}  // namespace consilience::bindings
