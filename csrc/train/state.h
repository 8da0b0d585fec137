// What training changes: both factor matrices in training order, and what each row carries.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "memory.h"
#include "philox.h"

namespace mcfast::train {

// The factors and states of one side.
struct Side {
    Side(int32_t n_rows, int64_t width) : factors(n_rows * width), states(n_rows), n_rows(n_rows), width(width) {}

    float* row(int64_t place) { return factors.data() + place * width; }
    const float* row(int64_t place) const { return factors.data() + place * width; }

    // factors = centre + noise * uniform(-1, 1), drawn by row, not by place; padding and biases 0, AdaGrad's sums 1.
    // Rows without a triple are 0: nothing will ever move them. With `nonnegative` the absolute value of all that.
    void initialise(const int32_t* positions, const int64_t* counts, int64_t n_factors, float centre, float noise,
                    bool nonnegative, uint64_t seed, Stream stream, int threads);
    void copy_from(const Side& other, int threads);
    bool finite(int threads) const;

    Buffer<float> factors;
    Buffer<kernels::RowState> states;
    int32_t n_rows;
    int64_t width;
};

}  // namespace mcfast::train
