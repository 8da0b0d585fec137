// The best of the canonical scores seen so far.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace mcfast::recall {

struct Scored {
    int32_t row;
    float score;
};

// The order of every answer: by score, ties to the lower row. An object, so that sorts inline it.
constexpr auto better = [](const Scored& a, const Scored& b) {
    return a.score > b.score || (a.score == b.score && a.row < b.row);
};

// Keeps the k best of what is added, and cuts down to them only now and then.
class Best {
public:
    explicit Best(int64_t k) : k_(static_cast<size_t>(k)) { scored_.reserve(room()); }

    int64_t k() const { return static_cast<int64_t>(k_); }

    // What is worse cannot enter; -inf before k are known. It lags behind the k-th best.
    float threshold() const { return worst_.score; }

    // Adds a row, once; says whether the threshold rose.
    bool add(Scored scored) {
        if (!better(scored, worst_)) return false;
        scored_.push_back(scored);
        if (scored_.size() < (full_ ? room() : k_)) return false;
        cut();
        return true;
    }

    // The k best, in no order.
    std::vector<Scored>& finish() {
        if (scored_.size() > k_) cut();
        return scored_;
    }

private:
    size_t room() const { return std::max<size_t>(2 * k_, 32); }

    void cut() {
        const auto last = scored_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
        std::nth_element(scored_.begin(), last, scored_.end(), better);
        worst_ = *last;
        scored_.resize(k_);
        full_ = true;
    }

    size_t k_;
    bool full_ = false;
    Scored worst_{std::numeric_limits<int32_t>::max(), -std::numeric_limits<float>::infinity()};
    std::vector<Scored> scored_;
};

}  // namespace mcfast::recall
