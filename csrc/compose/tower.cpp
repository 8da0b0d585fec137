#include "compose/tower.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace mcfast::compose {
namespace {

// out (rows x columns) = a (rows x n) b (n x columns); n and columns are multiples of 16.
void multiply(const float* a, int64_t rows, int64_t n, const float* b, int64_t columns, float* out) {
    kernels::active().tile->products(a, rows, n, b, columns, out);
}
void multiply(const double* a, int64_t rows, int64_t n, const double* b, int64_t columns, double* out) {
    std::fill_n(out, rows * columns, 0.0);
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < n; ++k)
            for (int64_t c = 0; c < columns; ++c) out[r * columns + c] += a[r * n + k] * b[k * columns + c];
}

// to (width x padded n) = the transpose of `from`, and zeros.
void transpose(const float* from, int64_t n, int64_t width, float* to) {
    kernels::active().tile->transpose(from, n, width, to);
}
void transpose(const double* from, int64_t n, int64_t width, double* to) {
    const int64_t stride = kernels::padded(n);
    std::fill_n(to, width * stride, 0.0);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t k = 0; k < width; ++k) to[k * stride + i] = from[i * width + k];
}

template <class T>
void add(const T* from, int64_t n, T* to) {
    for (int64_t k = 0; k < n; ++k) to[k] += from[k];
}

}  // namespace

template <class T>
void Tower<T>::reserve(int64_t n) {
    if (n <= room_) return;
    room_ = kernels::padded(std::max(n, 2 * room_));
    const int64_t wider = std::max(units_, width_);
    inputs_ = Buffer<T>(room_ * width_);
    hidden_ = Buffer<T>(room_ * units_);
    d_outputs_ = Buffer<T>(room_ * width_);
    d_hidden_ = Buffer<T>(room_ * units_);
    sums_ = Buffer<T>(room_ * wider);
    turned_ = Buffer<T>(std::max(room_, wider) * wider);
    gradients_ = Buffer<T>(rows() * width_);
}

template <class T>
void Tower<T>::forward(const T* weights, int64_t n, T* x) {
    reserve(n);
    const T *const w2 = weights + units_ * width_, *const b2 = w2 + units_ * width_, *const b1 = b2 + width_;
    const int64_t padding = kernels::padded(n) - n;  // which sums over rows run through
    std::fill_n(std::copy_n(x, n * width_, inputs_.data()), padding * width_, T{0});
    transpose(weights, units_, width_, turned_.data());
    multiply(x, n, width_, turned_.data(), units_, hidden_.data());
    for (int64_t i = 0; i < n; ++i)
        for (int64_t h = 0; h < units_; ++h) {
            T& z = hidden_[i * units_ + h];
            z = std::max(z + b1[h], T{0});
        }
    multiply(hidden_.data(), n, units_, w2, width_, sums_.data());
    add(sums_.data(), n * width_, x);
    for (int64_t i = 0; i < n; ++i) add(b2, width_, x + i * width_);
}

template <class T>
void Tower<T>::backward(const T* weights, int64_t n, T* d) {
    T *const d_w1 = gradients_.data(), *const d_w2 = d_w1 + units_ * width_, *const d_b2 = d_w2 + units_ * width_;
    T* const d_b1 = d_b2 + width_;
    std::fill(d_b2, gradients_.end(), T{0});
    const int64_t stride = kernels::padded(n), padding = stride - n;
    std::fill_n(std::copy_n(d, n * width_, d_outputs_.data()), padding * width_, T{0});
    for (int64_t i = 0; i < n; ++i) add(d + i * width_, width_, d_b2);
    transpose(hidden_.data(), n, units_, turned_.data());
    multiply(turned_.data(), units_, stride, d_outputs_.data(), width_, d_w2);

    transpose(weights + units_ * width_, units_, width_, turned_.data());
    multiply(d, n, width_, turned_.data(), units_, d_hidden_.data());
    for (int64_t i = 0; i < n * units_; ++i)
        if (!(hidden_[i] > 0)) d_hidden_[i] = 0;
    for (int64_t i = 0; i < n; ++i) add(d_hidden_.data() + i * units_, units_, d_b1);
    transpose(d_hidden_.data(), n, units_, turned_.data());
    multiply(turned_.data(), units_, stride, inputs_.data(), width_, d_w1);

    multiply(d_hidden_.data(), n, units_, weights, width_, sums_.data());
    add(sums_.data(), n * width_, d);
}

template class Tower<float>;
template class Tower<double>;

}  // namespace mcfast::compose
