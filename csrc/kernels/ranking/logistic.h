// Logistic loss of single pairs: a positive is a 1, the negatives together count as `weight` zeros,
//     log(1 + e^{-z_p}) + weight mean_j log(1 + e^{z_j}).
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Pointwise {
    static float row(float positive, float* z, int64_t n, float count, const RankingParameters& p, float* slope) {
        const float weight = p.negative_weight / count;
        vf value = {};
        for (int64_t j = 0; j < n; j += W) {
            const vf x = load(z + j);
            value += softplus(x);
            store(z + j, sigmoid(x) * weight);
        }
        *slope = -sigmoid(f4{} - positive)[0];
        return softplus(f4{} - positive)[0] + weight * total(value);
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
