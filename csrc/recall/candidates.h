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
// (k-th best) - 2 error cannot be among the k best: k rows have an exact score above its own. An infinite error keeps
// all.
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
        if (hits_.size() <= k_ || k_ == 0 || !std::isfinite(error_)) return;
        const auto better = [](const kernels::Hit& x, const kernels::Hit& y) {
            return x.score > y.score || (x.score == y.score && x.row < y.row);
        };
        std::nth_element(hits_.begin(), hits_.begin() + static_cast<std::ptrdiff_t>(k_) - 1, hits_.end(), better);
        threshold_ = rounded_down(hits_[k_ - 1].score - 2 * error_);
        if (error_ == 0) return hits_.resize(k_);  // exact scores: no need to keep ties, which may be all
        hits_.erase(
            std::remove_if(hits_.begin(), hits_.end(), [&](const kernels::Hit& h) { return h.score < threshold_; }),
            hits_.end());
        full_ = std::max(full_, 2 * hits_.size());
    }

    static float rounded_down(double x) {
        const auto f = static_cast<float>(x);
        return static_cast<double>(f) > x ? std::nextafterf(f, -std::numeric_limits<float>::infinity()) : f;
    }

    size_t k_;
    double error_;
    size_t full_;
    float threshold_ = -std::numeric_limits<float>::infinity();
    std::vector<kernels::Hit> hits_;
};

}  // namespace mcfast::recall
