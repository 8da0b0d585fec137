// What the tests share: the instruction sets of this machine, random padded matrices, and plain loops to compare with.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/kernels.h"
#include "memory.h"

namespace mcfast::test {

using Random = std::mt19937_64;

inline std::vector<const kernels::Set*> supported_sets() {
    int count = 0;
    const kernels::Set* const all = kernels::sets(&count);
    std::vector<const kernels::Set*> out;
    for (int i = 0; i < count; ++i)
        if (all[i].supported()) out.push_back(&all[i]);
    return out;
}

// Makes a set the active one while it lives.
class UseSet {
public:
    explicit UseSet(const kernels::Set* set) : before_(kernels::active().name) { kernels::use(set->name); }
    ~UseSet() { kernels::use(before_); }
    UseSet(const UseSet&) = delete;
    UseSet& operator=(const UseSet&) = delete;

private:
    const char* before_;
};

inline float uniform(Random& random, float low = -1, float high = 1) {
    return std::uniform_real_distribution<float>(low, high)(random);
}

inline int64_t integer(Random& random, int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
}

// n rows of `factors` values from next(), padded with zeros as the kernels want them.
template <class Next>
Buffer<float> matrix(int64_t n, int64_t factors, const Next& next) {
    const int64_t width = kernels::padded(factors);
    Buffer<float> out(n * width);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t k = 0; k < width; ++k) out[i * width + k] = k < factors ? next() : 0.0f;
    return out;
}

// The canonical sum by plain loops: 16 lanes, then halves added to halves.
inline double plain_dot(const float* a, const float* b, int64_t width) {
    double lane[16] = {};
    for (int64_t k = 0; k < width; ++k) lane[k % 16] += static_cast<double>(a[k]) * b[k];
    for (int n = 8; n > 0; n /= 2)
        for (int i = 0; i < n; ++i) lane[i] += lane[i + n];
    return lane[0];
}

// The bits of a value: unlike ==, tells 0 from -0 and finds a NaN equal to itself.
inline uint32_t bits(float x) {
    uint32_t out;
    std::memcpy(&out, &x, sizeof out);
    return out;
}
inline uint64_t bits(double x) {
    uint64_t out;
    std::memcpy(&out, &x, sizeof out);
    return out;
}

}  // namespace mcfast::test
