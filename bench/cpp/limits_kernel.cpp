#include "kernels/simd.h"
#include "limits_table.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

constexpr int under_way =
    W == 16 ? 16 : 10;  // independent sums: two units times the latency, and they fit the registers

float total(const vf* sums, int n) {
    float out = 0;
    for (int i = 0; i < n; ++i)
        for (int lane = 0; lane < W; ++lane) out += sums[i][lane];
    return out;
}

float load_all(const float* from, int64_t n) {
    vf sums[8] = {};
    for (int64_t k = 0; k < n; k += 8 * W)
        for (int i = 0; i < 8; ++i) sums[i] += load(from + k + i * W);
    return total(sums, 8);
}

float multiply_add(int64_t steps) {
    vf sums[under_way];
    for (int i = 0; i < under_way; ++i) sums[i] = broadcast(1.0f + static_cast<float>(i));
    const vf x = broadcast(0.999f), y = broadcast(0.001f);
    for (int64_t s = 0; s < steps; ++s)
        for (int i = 0; i < under_way; ++i) sums[i] = sums[i] * x + y;
    return total(sums, under_way);
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE

namespace mcfast::bench {
extern const LimitsTable MCFAST_TABLE(limits);
const LimitsTable MCFAST_TABLE(limits) = {
    kernels::MCFAST_SET_NAMESPACE::load_all, kernels::MCFAST_SET_NAMESPACE::multiply_add,
    2 * kernels::MCFAST_SET_NAMESPACE::under_way* kernels::MCFAST_SET_NAMESPACE::W};
}  // namespace mcfast::bench
