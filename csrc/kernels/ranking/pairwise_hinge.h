// Pairwise hinge, as in WARP and metric learning: the mean over negatives of max(0, margin - z_p + z_j).
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct PairwiseHinge {
    static float row(float positive, float* z, int64_t n, float count, const RankingParameters& p, float* slope) {
        vf value = {}, slopes = {};
        for (int64_t j = 0; j < n; j += W) {
            const vf x = load(z + j) + (p.margin - positive);
            const vf s = x > 0 ? broadcast(1 / count) : vf{};
            value += x > 0 ? x : vf{};
            slopes += s;
            store(z + j, s);
        }
        *slope = -total(slopes);
        return total(value) / count;
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
