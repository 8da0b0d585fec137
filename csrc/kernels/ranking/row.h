// What ranking losses share. Each has one function of a row of a tile,
//     float row(float positive, float* z, int64_t n, float count, const RankingParameters&, float* slope)
// which takes the score of the positive and n scores of negatives, a whole number of vectors, of which `count` are real
// and the others `lowest`; returns the loss, and leaves its derivatives in *slope and z.
#pragma once

#include "../exponential.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

constexpr float lowest = -1e30f;

inline float total(vf v) {
    const f4 s = sums(v, vf{}, vf{}, vf{});
    return s[0];
}
inline float scalar_exp(float x) { return exp(f4{} + x)[0]; }
inline float scalar_log(float x) { return log(f4{} + x)[0]; }

template <class V>
inline V sigmoid(V x) {
    return 1 / (1 + exp(-x));
}
// log(1 + e^x)
template <class V>
inline V softplus(V x) {
    return (x > 0 ? x : V{}) + log(1 + exp(x > 0 ? -x : x));
}

inline void scale(float* z, int64_t n, float by) {
    for (int64_t j = 0; j < n; j += W) store(z + j, load(z + j) * by);
}

struct Exponentials {
    float most, value;  // the sum is value e^most
};

// z becomes e^(z - most), `most` being the largest of z and `also`.
inline Exponentials exponentials(float* z, int64_t n, float also) {
    vf largest = broadcast(also);
    for (int64_t j = 0; j < n; j += W) {
        const vf x = load(z + j);
        largest = x > largest ? x : largest;
    }
    float most = also;
    for (int i = 0; i < W; ++i) most = largest[i] > most ? largest[i] : most;
    vf sum = {};
    for (int64_t j = 0; j < n; j += W) {
        const vf e = exp(load(z + j) - most);
        store(z + j, e);
        sum += e;
    }
    return {most, total(sum)};
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
