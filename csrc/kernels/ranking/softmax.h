// Sampled softmax (Bengio, Senecal, AISTATS 2003): the cross-entropy of the positive among itself and the negatives,
//     -z_p + log(e^{z_p} + sum_j e^{z_j}).
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Softmax {
    static float row(float positive, float* z, int64_t n, float, const RankingParameters&, float* slope) {
        const Exponentials sum = exponentials(z, n, positive);
        const float own = scalar_exp(positive - sum.most), total = sum.value + own;
        scale(z, n, 1 / total);
        *slope = own / total - 1;
        return sum.most + scalar_log(total) - positive;
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
