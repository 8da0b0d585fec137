// The samples of a block in the order in which the kernel takes them: users in groups by length of their runs, the
// samples of a group step by step.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace mcfast::train {

// A triple of a block, not yet in its place.
struct Loose {
    uint16_t user, item;
    float score;
};

class Layout {
public:
    // Lays out n samples of users 0 .. n_users - 1. place(i) is called with the index of each sample, in order. A
    // user's samples keep their order, except where a later one is taken first because the group meets its item at that
    // step.
    template <class Place>
    std::vector<kernels::Group> operator()(const Loose* samples, int64_t n, int64_t n_users, const Place& place) {
        sort(samples, n, n_users);
        std::vector<kernels::Group> groups((users_.size() + kernels::lanes - 1) / kernels::lanes);
        for (size_t g = 0; g < groups.size(); ++g) {
            kernels::Group& group = groups[g];
            int32_t* run[kernels::lanes];
            for (size_t l = 0; l < kernels::lanes; ++l) {
                const size_t i = g * kernels::lanes + l;
                if (i == users_.size()) break;
                group.users[l] = users_[i];
                group.lengths[l] = begin_[users_[i] + 1u] - begin_[users_[i]];
                run[l] = order_.data() + begin_[users_[i]];
            }
            for (int32_t s = 0; s < group.lengths[0]; ++s)
                for (int l = 0; l < kernels::lanes && group.lengths[l] > s; ++l) {
                    const auto met = [&](int32_t sample) {
                        for (int earlier = 0; earlier < l; ++earlier)
                            if (samples[run[earlier][s]].item == samples[sample].item) return true;
                        return false;
                    };
                    if (met(run[l][s])) {
                        int32_t* const end = run[l] + group.lengths[l];
                        int32_t* const other = std::find_if_not(run[l] + s + 1, end, met);
                        if (other != end) std::swap(run[l][s], *other);
                    }
                    place(run[l][s]);
                }
        }
        return groups;
    }

private:
    // Indices of the samples by user; users by falling length of their runs.
    void sort(const Loose* samples, int64_t n, int64_t n_users) {
        begin_.assign(static_cast<size_t>(n_users) + 2, 0);
        for (int64_t i = 0; i < n; ++i) ++begin_[samples[i].user + 2u];
        const int32_t longest = *std::max_element(begin_.begin(), begin_.end());
        of_length_.assign(static_cast<size_t>(longest) + 1, 0);
        for (int64_t u = 0; u < n_users; ++u) ++of_length_[static_cast<size_t>(begin_[static_cast<size_t>(u) + 2])];
        const int32_t idle = of_length_[0];
        int32_t total = 0;
        for (int32_t length = longest; length >= 0; --length)
            total += std::exchange(of_length_[static_cast<size_t>(length)], total);
        users_.resize(static_cast<size_t>(n_users));
        for (int64_t u = 0; u < n_users; ++u) {
            const auto length = static_cast<size_t>(begin_[static_cast<size_t>(u) + 2]);
            users_[static_cast<size_t>(of_length_[length]++)] = static_cast<uint16_t>(u);
        }
        users_.resize(static_cast<size_t>(n_users - idle));
        std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
        order_.resize(static_cast<size_t>(n));
        for (int64_t i = 0; i < n; ++i)
            order_[static_cast<size_t>(begin_[samples[i].user + 1u]++)] = static_cast<int32_t>(i);
    }

    std::vector<int32_t> begin_;  // of each user's run in order_
    std::vector<int32_t> of_length_, order_;
    std::vector<uint16_t> users_;
};

}  // namespace mcfast::train
