// The training grid: triples cut into blocks of (user stripe, item stripe), so that blocks which share neither can be
// trained at the same time, and a stripe of item factors fits a cache. The grid is a function of the triples, the
// numbers of users and items and the padded factors alone: never of threads, instruction set or detected caches.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/kernels.h"
#include "memory.h"
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
    // The samples of a block in the order of training, rows local to the stripes. They are laid out when they are first
    // asked for: by the epoch that trains on them at once, while a cache holds them. By one thread at a time.
    const Steps& steps(int64_t block);
    // fn(user, item, score, weight) of each sample of a block, in another order before it is laid out.
    template <class Fn>
    void for_each(int64_t block, const Fn& fn) const {
        const Block& b = blocks_[static_cast<size_t>(block)];
        if (b.laid_out) return b.steps.for_each(fn);
        const Loose* const samples = loose(b);
        for (int64_t i = 0, n = size(block); i < n; ++i)
            fn(samples[i].user(), samples[i].item(), samples[i].score(), b.weights.empty() ? 1.0f : b.weights[i]);
    }
    // How many triples have the user and the item of another one.
    int64_t repeated() const { return repeated_; }

private:
    struct Block {
        std::byte* memory = nullptr;  // of samples, loose or laid out, and how much
        int64_t bytes = 0;
        bool laid_out = false;
        Steps steps;
        std::vector<kernels::Stretch> stretches;
        Buffer<kernels::Samples> samples;  // none: they stand in memory
        std::vector<float> weights;        // of samples, loose or laid out; empty: 1
    };
    class Cutter;

    static Loose* loose(const Block& block) { return reinterpret_cast<Loose*>(block.memory); }

    Axis users_, items_;
    std::vector<int64_t> offsets_;  // triples before each block
    std::vector<Block> blocks_;
    Buffer<std::byte> memory_;  // a part for each stripe of users: its triples as they came, then its blocks
    int64_t repeated_ = 0;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Layout>> layouts_;  // that nobody uses at the moment
    std::atomic<int64_t> n_loose_{0};               // blocks that are not laid out
};

}  // namespace mcfast::train
