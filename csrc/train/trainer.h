// The epoch driver: owns the grid and the state, and runs one epoch at a time. How many epochs, at which learning rate,
// and what to do about a bad one is decided outside.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "train/grid.h"
#include "train/state.h"

namespace mcfast::train {

struct Options {
    int64_t factors = 64;
    bool biases = true;
    kernels::Loss loss = kernels::Loss::squared;
    // In units of the scores' standard deviation, for losses that scale them.
    float user_l2 = 0.05f, item_l2 = 0.05f, bias_l2 = 0.05f;
    float user_l1 = 0, item_l1 = 0;
    bool by_row = false;  // a row's strength is shared by its triples; else each triple has all of it
    bool nonnegative = false;
    uint64_t seed = 0;
    Shape blocks{0, 0};  // 0: the default shape
    int threads = 1;     // for preparation
};

// Factors and biases of one side in row order, in the units of the scores; `width` floats a row.
struct Rows {
    float* factors;
    float* biases;
};

class Trainer {
public:
    Trainer(const Triples& triples, const Options& options);
    ~Trainer();

    // One pass over all triples; returns the mean loss before each step, in the units of the scores, or NaN where a
    // loss or a factor is no longer finite. `poll` gets the number of triples done, on the calling thread; what it
    // throws is rethrown, the state then being in the middle of the epoch.
    double epoch(uint32_t number, float learning_rate, int threads, const std::function<void(int64_t)>& poll);

    // Keep the state, and go back to it.
    void checkpoint(int threads);
    void restore(int threads);
    void drop_checkpoint();

    // The sum of the losses over triples, added in a fixed order; in the units of the scores.
    double loss(const Triples& triples, int threads) const;
    // Sum of squared errors over triples in the units of the scores, added in a fixed order.
    double squared_error(const Triples& triples, int threads) const;

    // Replaces rows by given ones (warm start), and the bias of a side's rows if biases are trained.
    void import_users(const int32_t* rows, int64_t n, const float* factors, int64_t stride, const float* biases);
    void import_items(const int32_t* rows, int64_t n, const float* factors, int64_t stride, const float* biases);
    void export_users(Rows to, int threads) const;
    void export_items(Rows to, int threads) const;

    double mean() const { return mean_; }  // 0 without biases
    double scale() const { return scale_; }
    int64_t width() const { return width_; }
    const Grid& grid() const { return *grid_; }

private:
    void initialise_biases(bool weighted, int threads);
    kernels::Block block(int32_t user_stripe, int32_t item_stripe);
    double loss_scale() const;
    double predicted(int32_t user_row, int32_t item_row) const;  // in the units of the kernel, without the mean

    Options options_;
    bool plain_;
    int64_t width_;
    double mean_ = 0, scale_ = 1, total_weight_ = 0;
    std::optional<Grid> grid_;
    Side users_, items_;
    Buffer<float> user_shares_, item_shares_;  // with by_row
    std::optional<Side> saved_users_, saved_items_;
};

}  // namespace mcfast::train
