// The training grid: triples cut into blocks of (user stripe, item stripe), so that blocks which share neither can be
// trained at the same time, and a stripe of item factors fits a cache. The grid is a function of the triples, the
// numbers of users and items and the padded factors alone: never of threads, instruction set or detected caches.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "train/layout.h"

namespace mcfast::train {

struct Triples {
    const int32_t* users;
    const int32_t* items;
    const float* scores;
    int64_t n;
    int32_t n_users, n_items;
    const float* weights = nullptr;  // null: 1
};

// One side of the grid: its rows in training order (shuffled, so that popular rows spread), cut into stripes.
struct Axis {
    std::vector<int32_t> position;  // row -> place in training order
    std::vector<int64_t> counts;    // triples of each row
    std::vector<int32_t> cuts;      // stripe s holds places cuts[s] .. cuts[s + 1]
    int32_t stripes() const { return static_cast<int32_t>(cuts.size()) - 1; }
};

struct Shape {
    int64_t user_stripes, item_stripes;
    int64_t item_rows = max_stripe_rows;  // at most, a stripe
};

// The number of stripes asked for when the user names none.
Shape default_shape(int64_t n, int64_t n_users, int64_t n_items, int64_t width);

class Grid {
public:
    // Scores are stored as (score - mean) / scale. `wanted` stripes are kept as far as their rows allow.
    Grid(const Triples& triples, Shape wanted, float mean, float scale, int threads);

    const Axis& users() const { return users_; }
    const Axis& items() const { return items_; }
    int64_t n_samples() const { return offsets_.back(); }
    int64_t n_blocks() const { return static_cast<int64_t>(offsets_.size()) - 1; }
    int64_t block(int32_t user_stripe, int32_t item_stripe) const {
        return static_cast<int64_t>(user_stripe) * items_.stripes() + item_stripe;
    }
    int64_t size(int64_t block) const { return offsets_[block + 1] - offsets_[block]; }
    // The samples of a block in the order of training, rows local to the stripes.
    const Steps& steps(int64_t block) const { return steps_[static_cast<size_t>(block)]; }

private:
    Axis users_, items_;
    std::vector<int64_t> offsets_;  // triples before each block
    std::vector<Steps> steps_;      // of each block
};

}  // namespace mcfast::train
