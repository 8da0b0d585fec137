#include "rank/order.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "philox.h"

namespace mcfast::rank {
namespace {

// Uniform in 0 .. n-1, from 64 bits.
int64_t below(uint32_t high, uint32_t low, int64_t n) {
    const uint64_t bits = uint64_t{high} << 32 | low;
    return static_cast<int64_t>((static_cast<unsigned __int128>(bits) * static_cast<uint64_t>(n)) >> 64);
}

}  // namespace

std::vector<double> kept(const std::vector<int64_t>& counts, int64_t n, double subsampling) {
    std::vector<double> out(counts.size(), 1.0);
    if (subsampling > 0)
        for (size_t i = 0; i < counts.size(); ++i)
            if (counts[i] > 0)
                out[i] =
                    std::min(1.0, std::sqrt(subsampling * static_cast<double>(n) / static_cast<double>(counts[i])));
    return out;
}

void shuffle(const std::vector<int32_t>& items, const std::vector<double>& keep, uint64_t seed, uint32_t epoch,
             std::vector<int64_t>& order) {
    const auto bits = [&](size_t i, uint32_t draw) {
        return philox(seed, {static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32) << 1 | draw, epoch,
                             static_cast<uint32_t>(Stream::positives)});
    };
    order.clear();
    for (size_t i = 0; i < items.size(); ++i) {
        const double share = keep[static_cast<size_t>(items[i])];
        if (share >= 1 || bits(i, 0)[0] < share * 0x1p32) order.push_back(static_cast<int64_t>(i));
    }
    for (size_t i = order.size(); i > 1; --i) {
        const auto b = bits(i, 1);
        std::swap(order[i - 1], order[static_cast<size_t>(below(b[0], b[1], static_cast<int64_t>(i)))]);
    }
}

}  // namespace mcfast::rank
