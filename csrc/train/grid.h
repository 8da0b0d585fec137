// The training grid: triples cut into blocks of (user stripe, item stripe), so that blocks which share neither can be
// trained at the same time, and a stripe of item factors fits a cache. The grid is a function of the triples, the
// numbers of users and items and the padded factors alone: never of threads, instruction set or detected caches.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "memory.h"

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

constexpr int64_t max_stripe_rows = 65536;  // local row numbers have 16 bits

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
    // The part of a kernel's block that the grid holds.
    kernels::Block samples(int64_t block) const {
        const int64_t at = offsets_[block];
        kernels::Block out{};
        out.groups = groups_[block].data();
        out.n_groups = static_cast<int64_t>(groups_[block].size());
        out.items = item_rows_.data() + at;
        out.scores = scores_.data() + at;
        out.weights = weights_.size() ? weights_.data() + at : nullptr;
        return out;
    }
    // fn(user, item, score, weight) of each sample of a block in the order of training, rows local to the stripes.
    template <class Fn>
    void for_each(int64_t block, const Fn& fn) const {
        const kernels::Block b = samples(block);
        int64_t at = 0;
        for (const kernels::Group& group : groups_[block])
            for (int32_t s = 0; s < group.lengths[0]; ++s)
                for (int l = 0; l < kernels::lanes && group.lengths[l] > s; ++l, ++at)
                    fn(group.users[l], b.items[at], b.scores[at], b.weights ? b.weights[at] : 1.0f);
    }

private:
    Axis users_, items_;
    std::vector<int64_t> offsets_;  // of each block in what follows
    std::vector<std::vector<kernels::Group>> groups_;
    Buffer<uint16_t> item_rows_;
    Buffer<float> scores_, weights_;
};

}  // namespace mcfast::train
