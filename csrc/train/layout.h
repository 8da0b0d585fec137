// The samples of a block in the order in which the kernel takes them. A few users are under way and take turns, the
// next one of each going into a step that shares no user and no item with the step before, where there is one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace mcfast::train {

constexpr int64_t max_stripe_rows = kernels::idle;  // local row numbers have 16 bits

// A triple of a block, not yet in its place: one word, since it is moved as one.
struct Loose {
    uint64_t word;
    Loose() = default;
    Loose(uint16_t user, uint16_t item, float score) {
        uint32_t bits;
        std::memcpy(&bits, &score, sizeof bits);
        word = user | static_cast<uint32_t>(item) << 16 | static_cast<uint64_t>(bits) << 32;
    }
    uint16_t user() const { return static_cast<uint16_t>(word); }
    uint16_t item() const { return static_cast<uint16_t>(word >> 16); }
    float score() const {
        const auto bits = static_cast<uint32_t>(word >> 32);
        float out;
        std::memcpy(&out, &bits, sizeof out);
        return out;
    }
};

// The samples of a block in their places, which somebody else holds.
struct Steps {
    const kernels::Samples* samples = nullptr;  // and a few behind the last that may be read
    int64_t n = 0;
    const kernels::Stretch* stretches = nullptr;
    int64_t n_stretches = 0;
    const float* weights = nullptr;  // `lanes` a step; null: 1

    // The part of a kernel's block that stands here.
    kernels::Block block() const {
        kernels::Block out{};
        out.steps = samples;
        out.stretches = stretches;
        out.n_stretches = n_stretches;
        out.weights = weights;
        return out;
    }
    // fn(user, item, score, weight) of each sample in the order of training.
    template <class Fn>
    void for_each(const Fn& fn) const {
        for (int64_t s = 0; s < n; ++s)
            for (int64_t l = 0; l < kernels::lanes && samples[s].users[l] != kernels::idle; ++l)
                fn(samples[s].users[l], samples[s].items[l], samples[s].scores[l],
                   weights ? weights[s * kernels::lanes + l] : 1.0f);
    }
};

class Layout {
public:
    // Lays out n samples that are sorted by user; null weights: 1. A user's samples keep their order, except where a
    // later one is taken first because the item was just met: what is passed is put in that order. The steps stand here
    // until the next call.
    Steps operator()(Loose* samples, float* weights, int64_t n) {
        samples_ = samples;
        weights_ = weights;
        find_runs(n);
        next_ = 0;
        n_active_ = turn_ = 0;
        while (n_active_ < users_at_once && next_ < n_runs_) active_[n_active_++] = run(next_++);
        now_ += 2;
        make_room(n / kernels::lanes);
        stretches_.clear();
        step_weights_.clear();
        int64_t steps = 0;
        for (;; ++now_) {
            make_room(steps);
            kernels::Samples& step = steps_[static_cast<size_t>(steps)];
            int filled = fill(step, 0, now_ - 1);
            const bool overlapping = filled == kernels::lanes;
            if (!overlapping) filled = fill(step, filled, now_);
            if (filled == 0) break;
            for (int l = filled; l < kernels::lanes; ++l) {
                step.users[l] = step.items[l] = kernels::idle;
                step.scores[l] = 0;
                if (weights) step_weights_.push_back(0);
            }
            ++steps;
            if (stretches_.empty() || (overlapping && stretches_.back().others)) stretches_.push_back({0, 0});
            ++(overlapping ? stretches_.back().overlapping : stretches_.back().others);
        }
        std::fill_n(steps_.begin() + steps, kernels::steps_overrun, kernels::Samples{});
        return {steps_.data(), steps, stretches_.data(), static_cast<int64_t>(stretches_.size()),
                weights ? step_weights_.data() : nullptr};
    }

private:
    static constexpr uint32_t users_at_once = 16;
    static constexpr int32_t looked_at = 8;  // samples of a user, for one whose item is free

    struct Run {
        int32_t at, end;   // among the samples
        int64_t last_met;  // step
    };

    // For so many steps, one more and what may be read behind it.
    void make_room(int64_t steps) {
        const auto needed = static_cast<size_t>(steps + 1 + kernels::steps_overrun);
        if (steps_.size() < needed) steps_.resize(needed + needed / 4);
    }

    // Where the samples of each user begin. Without a branch an entry: there is none to foresee.
    void find_runs(int64_t n) {
        if (begins_.size() < static_cast<size_t>(n) + 2) begins_.resize(static_cast<size_t>(n) + 2);
        int64_t run = -1;
        int32_t last = -1;
        for (int64_t i = 0; i < n; ++i) {
            run += samples_[i].user() != last;
            last = samples_[i].user();
            // Of a user's samples the last one stays.
            begins_[static_cast<size_t>(run) + 1] = static_cast<int32_t>(i) + 1;
        }
        begins_[0] = 0;
        n_runs_ = run + 1;
        begins_[static_cast<size_t>(n_runs_) + 1] = 0;  // looked at, not used
    }

    Run run(int64_t number) const {
        return {begins_[static_cast<size_t>(number)], begins_[static_cast<size_t>(number) + 1], -1};
    }

    int fill(kernels::Samples& step, int filled, int64_t since) {
        const bool many = n_active_ == users_at_once && next_ + kernels::lanes <= n_runs_;
        return many ? fill<true>(step, filled, since) : fill<false>(step, filled, since);
    }

    // Fills the lanes from `filled` on with samples whose user and item were met before step `since`; returns the
    // number of lanes filled. `Many`: as many users as can be are under way, and enough to come; that is nearly always
    // so.
    template <bool Many>
    int fill(kernels::Samples& step, int filled, int64_t since) {
        Loose* const samples = samples_;
        float* const weights = weights_;
        int64_t* const item_met = item_met_.data();
        const int64_t met = now_;
        int64_t next = next_;
        uint32_t turn = turn_;
        for (uint32_t tries = n_active_; tries > 0 && filled < kernels::lanes; --tries) {
            if (turn >= (Many ? users_at_once : n_active_)) turn = 0;
            Run& now = active_[turn];
            const int32_t first = now.at, end = now.last_met < since ? std::min(now.end, first + looked_at) : first;
            int32_t at = first;
            while (at < end && item_met[samples[at].item()] >= since) ++at;
            if (at == end) {
                ++turn;
                continue;
            }
            const Loose taken = samples[at], instead = samples[first];
            samples[at] = instead;
            samples[first] = taken;
            if (weights) {
                std::swap(weights[at], weights[first]);
                step_weights_.push_back(weights[first]);
            }
            step.users[filled] = taken.user();
            step.items[filled] = taken.item();
            step.scores[filled++] = taken.score();
            item_met[taken.item()] = met;
            const int64_t ended = first + 1 == now.end;
            if (Many || next < n_runs_) {
                // Without a branch: there is none to foresee.
                const int64_t begin = begins_[static_cast<size_t>(next)],
                              after = begins_[static_cast<size_t>(next) + 1];
                now.at = static_cast<int32_t>(ended ? begin : first + 1);
                now.end = static_cast<int32_t>(ended ? after : now.end);
                now.last_met = met | -ended;  // -1, for none
                next += ended;
                ++turn;
            } else if (!ended) {
                ++now.at;
                now.last_met = met;
                ++turn;
            } else {
                now = active_[--n_active_];
            }
        }
        turn_ = turn;
        next_ = next;
        return filled;
    }

    Loose* samples_ = nullptr;
    float* weights_ = nullptr;
    std::vector<int32_t> begins_;
    int64_t n_runs_ = 0, next_ = 0;  // users that have samples, and the next one to come under way
    Run active_[users_at_once];
    uint32_t n_active_ = 0, turn_ = 0;
    std::vector<int64_t> item_met_ = std::vector<int64_t>(max_stripe_rows, -1);  // the last step that met it
    int64_t now_ = 0;
    std::vector<kernels::Samples> steps_;
    std::vector<kernels::Stretch> stretches_;
    std::vector<float> step_weights_;
};

}  // namespace mcfast::train
