// The vectors of one side, and what the optimiser keeps for each.
#pragma once

#include <cstdint>

#include "memory.h"
#include "philox.h"

namespace mcfast::rank {

enum class Optimizer { adagrad, adam };

struct Steps {
    Optimizer optimizer;
    bool unit;  // rows stay on the unit sphere
    float learning_rate;
};

class Table {
public:
    Table(int64_t n_rows, int64_t factors, int64_t width, Optimizer optimizer);

    float* row(int64_t r) { return rows_.data() + r * width_; }
    const float* row(int64_t r) const { return rows_.data() + r * width_; }
    int64_t n_rows() const { return n_rows_; }

    // noise * uniform(-1, 1), or a random direction if `unit`; rows that `used` leaves out are 0.
    void initialise(const int64_t* used, float noise, bool unit, uint64_t seed, Stream stream, int threads);
    // One step of a row along minus the gradient, which is overwritten.
    void step(int64_t r, float* gradient, const Steps& how);
    void copy_from(const Table& other, int threads);
    bool finite(int threads) const;

private:
    int64_t n_rows_, factors_, width_;
    Buffer<float> rows_, momentum_;  // momentum with adam only
    Buffer<float> squares_;          // AdaGrad: sums of mean squared gradients; adam: their moving averages
    Buffer<int32_t> counts_;         // steps a row has made, with adam only
};

// x / |x|, zeros staying zeros.
void normalise(float* x, int64_t width);

}  // namespace mcfast::rank
