// What a scan with bounded error has found so far for one query.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/kernels.h"

namespace mcfast::recall {

// Collects hits of approximate scores, each at most `error` from the exact one. A row whose approximate score is below
// (k-th best) - 2 error cannot be among the k best: k rows have an exact score above its own.
class Candidates {
public:
    Candidates(int64_t k, double error)
        : k_(static_cast<size_t>(k)), error_(error), full_(std::max<size_t>(2 * k_, 256)) {}

    // Scores below this need not be added.
    float threshold() const { return threshold_; }

    void add(kernels::Hit hit) {
        hits_.push_back(hit);
        if (hits_.size() >= full_) cut();
    }

    // What is left when the scan is over: a superset of the k best.
    const std::vector<kernels::Hit>& finish() {
        cut();
        return hits_;
    }

private:
    void cut() {
        using kernels::Hit;
        if (hits_.size() <= k_ || k_ == 0) return;
        // NaN (an overflow of the approximation) counts as largest, and is never cut.
        const auto better = [](const Hit& a, const Hit& b) {
            return a.score > b.score || (std::isnan(a.score) && !std::isnan(b.score));
        };
        std::nth_element(hits_.begin(), hits_.begin() + static_cast<std::ptrdiff_t>(k_) - 1, hits_.end(), better);
        threshold_ = rounded_down(hits_[k_ - 1].score - 2 * error_);
        hits_.erase(std::remove_if(hits_.begin(), hits_.end(), [&](const Hit& h) { return h.score < threshold_; }),
                    hits_.end());
        full_ = std::max(full_, 2 * hits_.size());
    }

    static float rounded_down(double x) {
        constexpr float lowest = -std::numeric_limits<float>::infinity();
        if (!std::isfinite(x)) return lowest;
        const auto f = static_cast<float>(x);
        return static_cast<double>(f) > x ? std::nextafterf(f, lowest) : f;
    }

    size_t k_;
    double error_;
    size_t full_;
    float threshold_ = -std::numeric_limits<float>::infinity();
    std::vector<kernels::Hit> hits_;
};

}  // namespace mcfast::recall
