#include "rank/alias.h"

#include <algorithm>
#include <numeric>

#include "philox.h"

namespace mcfast::rank {

Alias::Alias(const std::vector<double>& weights) : keep_(weights.size()), other_(weights.size()) {
    const double mean = std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(weights.size());
    std::vector<double> left(weights.size());
    std::vector<int32_t> small, large;
    for (size_t i = 0; i < weights.size(); ++i) {
        left[i] = weights[i] / mean;
        other_[i] = static_cast<int32_t>(i);
        (left[i] < 1 ? small : large).push_back(static_cast<int32_t>(i));
    }
    const auto fixed = [](double x) { return static_cast<uint32_t>(std::clamp(x * 0x1p32, 0.0, 0x1p32 - 1)); };
    while (!small.empty() && !large.empty()) {
        const auto s = static_cast<size_t>(small.back()), l = static_cast<size_t>(large.back());
        small.pop_back();
        keep_[s] = fixed(left[s]);
        other_[s] = static_cast<int32_t>(l);
        left[l] -= 1 - left[s];
        if (left[l] < 1) {
            large.pop_back();
            small.push_back(static_cast<int32_t>(l));
        }
    }
}

int32_t Alias::draw(uint32_t place, uint32_t toss) const {
    const uint32_t i = below(place, static_cast<uint32_t>(keep_.size()));
    return toss < keep_[i] ? static_cast<int32_t>(i) : other_[i];
}

}  // namespace mcfast::rank
