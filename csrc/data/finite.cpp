#include "data/finite.h"

#include <atomic>

#include "parallel.h"

namespace mcfast::data {

bool finite(const float* values, int64_t n, int threads) {
    constexpr int64_t grain = 1 << 16;
    std::atomic<bool> all{true};
    parallel::chunks(threads, n, grain, [&](int64_t, int64_t begin, int64_t end) {
        // x - x is 0 for every finite x and NaN for the others. Some sums, since additions wait for each other.
        float sums[8] = {};
        int64_t i = begin;
        for (; i + 8 <= end; i += 8)
            for (int64_t l = 0; l < 8; ++l) sums[l] += values[i + l] - values[i + l];
        for (; i < end; ++i) sums[0] += values[i] - values[i];
        for (const float sum : sums)
            if (!(sum == 0)) all.store(false, std::memory_order_relaxed);
    });
    return all;
}

}  // namespace mcfast::data
