// The samples of a block in the order in which the kernel takes them. A few users are under way and take turns, the
// next one of each going into a step that shares no user and no item with the step before, where there is one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace mcfast::train {

constexpr int64_t max_stripe_rows = kernels::idle;  // local row numbers have 16 bits

// A triple of a block, not yet in its place.
struct Loose {
    uint16_t user, item;
    float score;
};

// The samples of a block in their places.
struct Steps {
    std::vector<kernels::Samples> samples;  // and a few behind the last that may be read
    std::vector<kernels::Stretch> stretches;
    std::vector<float> weights;  // empty: 1

    // The part of a kernel's block that stands here.
    kernels::Block block() const {
        kernels::Block out{};
        out.steps = samples.data();
        out.stretches = stretches.data();
        out.n_stretches = static_cast<int64_t>(stretches.size());
        out.weights = weights.empty() ? nullptr : weights.data();
        return out;
    }
    // fn(user, item, score, weight) of each sample in the order of training.
    template <class Fn>
    void for_each(const Fn& fn) const {
        for (size_t s = 0; s + kernels::steps_overrun < samples.size(); ++s)
            for (size_t l = 0; l < kernels::lanes && samples[s].users[l] != kernels::idle; ++l)
                fn(samples[s].users[l], samples[s].items[l], samples[s].scores[l],
                   weights.empty() ? 1.0f : weights[s * kernels::lanes + l]);
    }
    void add(const kernels::Samples& step, bool overlapping) {
        samples.push_back(step);
        if (stretches.empty() || (overlapping && stretches.back().others)) stretches.push_back({0, 0});
        ++(overlapping ? stretches.back().overlapping : stretches.back().others);
    }
};

class Layout {
public:
    // Lays out n samples of users 0 .. n_users - 1; null weights: 1. A user's samples keep their order, except where a
    // later one is taken first because the item was just met.
    Steps operator()(const Loose* samples, const float* weights, int64_t n, int64_t n_users) {
        sort(samples, n, n_users);
        next_user_ = 0;
        runs_.clear();
        while (runs_.size() < users_at_once && next_user_ < users_.size()) runs_.push_back(next_run());
        turn_ = 0;
        now_ += 2;
        Steps out;
        out.samples.reserve(static_cast<size_t>(n / kernels::lanes + n / 64 + kernels::steps_overrun));
        for (;; ++now_) {
            kernels::Samples step;
            int32_t taken[kernels::lanes];
            int filled = fill(samples, taken, 0, now_ - 1);
            const bool overlapping = filled == kernels::lanes;
            if (!overlapping) filled = fill(samples, taken, filled, now_);
            if (filled == 0) break;
            for (int l = 0; l < kernels::lanes; ++l) {
                const bool real = l < filled;
                step.users[l] = real ? samples[taken[l]].user : kernels::idle;
                step.items[l] = real ? samples[taken[l]].item : kernels::idle;
                step.scores[l] = real ? samples[taken[l]].score : 0;
                if (weights) out.weights.push_back(real ? weights[taken[l]] : 0);
            }
            out.add(step, overlapping);
        }
        out.samples.resize(out.samples.size() + kernels::steps_overrun);
        return out;
    }

private:
    static constexpr size_t users_at_once = 16;
    static constexpr int32_t looked_at = 8;  // samples of a user, for one whose item is free

    struct Run {
        int32_t at, end;   // in order_
        int64_t last_met;  // step
    };

    Run next_run() {
        const uint16_t user = users_[next_user_++];
        return {begin_[user], begin_[user + 1u], -1};
    }

    // Fills the lanes from `filled` on with samples whose user and item were met before step `since`; returns the
    // number of lanes filled.
    int fill(const Loose* samples, int32_t* taken, int filled, int64_t since) {
        for (size_t tried = 0, n = runs_.size(); tried < n && filled < kernels::lanes; ++tried) {
            if (turn_ >= runs_.size()) turn_ = 0;
            Run& run = runs_[turn_];
            const int32_t end = run.last_met < since ? std::min(run.end, run.at + looked_at) : run.at;
            int32_t at = run.at;
            while (at < end && item_met_[samples[order_[static_cast<size_t>(at)]].item] >= since) ++at;
            if (at == end) {
                ++turn_;
                continue;
            }
            std::swap(order_[static_cast<size_t>(run.at)], order_[static_cast<size_t>(at)]);
            taken[filled] = order_[static_cast<size_t>(run.at++)];
            item_met_[samples[taken[filled++]].item] = run.last_met = now_;
            if (run.at < run.end) {
                ++turn_;
            } else if (next_user_ < users_.size()) {
                run = next_run();
                ++turn_;
            } else {
                run = runs_.back();
                runs_.pop_back();
            }
        }
        return filled;
    }

    // Indices of the samples by user.
    void sort(const Loose* samples, int64_t n, int64_t n_users) {
        begin_.assign(static_cast<size_t>(n_users) + 2, 0);
        for (int64_t i = 0; i < n; ++i) ++begin_[samples[i].user + 2u];
        users_.clear();
        for (int64_t u = 0; u < n_users; ++u)
            if (begin_[static_cast<size_t>(u) + 2] > 0) users_.push_back(static_cast<uint16_t>(u));
        std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
        order_.resize(static_cast<size_t>(n));
        for (int64_t i = 0; i < n; ++i)
            order_[static_cast<size_t>(begin_[samples[i].user + 1u]++)] = static_cast<int32_t>(i);
    }

    std::vector<int32_t> begin_;  // of each user's run in order_
    std::vector<int32_t> order_;
    std::vector<uint16_t> users_;
    size_t next_user_ = 0, turn_ = 0;
    std::vector<Run> runs_;
    std::vector<int64_t> item_met_ = std::vector<int64_t>(max_stripe_rows, -1);  // the last step that met it
    int64_t now_ = 0;
};

}  // namespace mcfast::train
