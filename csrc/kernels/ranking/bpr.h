// Bayesian personalised ranking (Rendle, Freudenthaler, Gantner, Schmidt-Thieme, UAI 2009), the mean over negatives of
//     log(1 + e^{z_j - z_p}).
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Bpr {
    static float row(float positive, float* z, int64_t n, float count, const RankingParameters&, float* slope) {
        vf value = {}, slopes = {};
        for (int64_t j = 0; j < n; j += W) {
            const vf x = load(z + j) - positive, s = sigmoid(x) / count;
            value += softplus(x);
            slopes += s;
            store(z + j, s);
        }
        *slope = -total(slopes);
        return total(value) / count;
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
