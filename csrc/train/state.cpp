#include "train/state.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "parallel.h"

namespace mcfast::train {
namespace {
constexpr int64_t grain = 4096;  // rows
}

void Side::initialise(const int32_t* positions, const int64_t* counts, int64_t n_factors, float centre, float noise,
                      bool nonnegative, uint64_t seed, Stream stream, int threads) {
    parallel::chunks(threads, n_rows, grain, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
            float* const to = row(positions[r]);
            for (int64_t k = 0; k < width; k += 4) {
                const auto bits = philox(
                    seed, {static_cast<uint32_t>(r), static_cast<uint32_t>(k / 4), 0, static_cast<uint32_t>(stream)});
                for (int64_t i = 0; i < 4; ++i) {
                    const float value = centre + noise * symmetric(bits[static_cast<size_t>(i)]);
                    to[k + i] = counts[r] == 0 || k + i >= n_factors ? 0.0f : nonnegative ? std::fabs(value) : value;
                }
            }
            states[positions[r]] = {1, 1, 0, 0};
        }
    });
}

void Side::copy_from(const Side& other, int threads) {
    parallel::chunks(threads, n_rows, grain, [&](int64_t, int64_t begin, int64_t end) {
        std::copy(other.row(begin), other.row(end), row(begin));
        std::copy(other.states.begin() + begin, other.states.begin() + end, states.begin() + begin);
    });
}

bool Side::finite(int threads) const {
    std::atomic<bool> all{true};
    parallel::chunks(threads, n_rows, grain, [&](int64_t, int64_t begin, int64_t end) {
        // x - x is 0 for every finite x and NaN for the others.
        float sum = 0;
        for (const float* x = row(begin); x != row(end); ++x) sum += *x - *x;
        for (int64_t r = begin; r < end; ++r)
            for (const float x : {states[r].bias, states[r].factor_step, states[r].bias_step}) sum += x - x;
        if (!(sum == 0)) all.store(false, std::memory_order_relaxed);
    });
    return all;
}

}  // namespace mcfast::train
