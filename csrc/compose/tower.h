// One hidden layer on top of composed rows, added to what goes in: y = x + W2 relu(W1 x + b1) + b2.
//
// Its weights are rows of the table of parameters, the last ones: a row of W1 a unit, then a column of W2 a unit, then
// b2, then b1, as many units a row as it holds. W2 and both b start at 0, so that training starts without it. Units
// come in multiples of 16.
#pragma once

#include <cstdint>

#include "memory.h"

namespace mcfast::compose {

template <class T>
class Tower {
public:
    Tower(int64_t units, int64_t width) : units_(units), width_(width) {}

    static int64_t rows(int64_t units, int64_t width) {
        return units == 0 ? 0 : 2 * units + 1 + (units + width - 1) / width;
    }
    int64_t rows() const { return rows(units_, width_); }

    // `weights`: the first of its rows; x (n x width) becomes y.
    void forward(const T* weights, int64_t n, T* x);
    // The gradient by y becomes that by x; `weights` and n are those of forward().
    void backward(const T* weights, int64_t n, T* d);
    // The gradient by row i of the weights, until the next backward().
    const T* gradient(int64_t i) const { return gradients_.data() + i * width_; }

private:
    void reserve(int64_t n);

    int64_t units_, width_;
    int64_t room_ = 0;  // rows that the buffers hold
    Buffer<T> inputs_, hidden_, d_outputs_, d_hidden_, sums_, turned_, gradients_;
};

extern template class Tower<float>;
extern template class Tower<double>;

}  // namespace mcfast::compose
