#include "rank/contributions.h"

#include <array>

namespace mcfast::rank {

void Contributions::sort(int32_t n_rows) {
    constexpr int digit_bits = 11;
    constexpr uint32_t mask = (1 << digit_bits) - 1;
    sorted_.resize(entries_.size());
    for (int shift = 0; shift < 31 && (n_rows - 1) >> shift > 0; shift += digit_bits) {
        std::array<int64_t, mask + 2> first{};
        for (const Contribution& c : entries_) ++first[static_cast<size_t>(((c.row >> shift) & mask) + 1)];
        for (size_t d = 1; d < first.size(); ++d) first[d] += first[d - 1];
        for (const Contribution& c : entries_)
            sorted_[static_cast<size_t>(first[static_cast<size_t>((c.row >> shift) & mask)]++)] = c;
        entries_.swap(sorted_);
    }
    starts_.clear();
    for (size_t i = 0; i < entries_.size(); ++i)
        if (i == 0 || entries_[i].row != entries_[i - 1].row) starts_.push_back(static_cast<int64_t>(i));
    starts_.push_back(static_cast<int64_t>(entries_.size()));
}

}  // namespace mcfast::rank
