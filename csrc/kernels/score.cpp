// The canonical score. A product of two fp32 numbers is exact in fp64, so fused or not makes no difference, and the
// lanes fix the order of the sums: every instruction set gives the same bits.
#include "simd.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

constexpr int lanes = 16;
constexpr int half = W / 2;            // doubles in a vector
constexpr int vectors = lanes / half;  // accumulators

template <class A, class B>
double dot_of(const A* a, const B* b, int64_t width) {
    vd sum[vectors] = {};
    for (int64_t k = 0; k < width; k += lanes)
        for (int v = 0; v < vectors; ++v) sum[v] += load_as_double(a + k + v * half) * load_as_double(b + k + v * half);
    for (int n = vectors / 2; n > 0; n /= 2)
        for (int v = 0; v < n; ++v) sum[v] += sum[v + n];
    vd lane = sum[0];
    for (int n = half / 2; n > 0; n /= 2)
        for (int i = 0; i < n; ++i) lane[i] += lane[i + n];
    return lane[0];
}

double dot(const float* a, const float* b, int64_t width) { return dot_of(a, b, width); }
double dot_half(const float* a, const uint16_t* b, int64_t width) { return dot_of(a, b, width); }
double square_half(const uint16_t* a, int64_t width) { return dot_of(a, a, width); }

float score(const float* a, const float* b, int64_t width, double offset) {
    return static_cast<float>(dot(a, b, width) + offset);
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE

namespace mcfast::kernels {
extern const ScoreTable MCFAST_TABLE(score);
const ScoreTable MCFAST_TABLE(score) = {MCFAST_SET_NAMESPACE::score, MCFAST_SET_NAMESPACE::dot,
                                        MCFAST_SET_NAMESPACE::dot_half, MCFAST_SET_NAMESPACE::square_half};
}  // namespace mcfast::kernels
