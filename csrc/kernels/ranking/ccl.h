// Cosine contrastive loss (Mao et al.: "SimpleX: a simple and strong baseline for collaborative filtering", CIKM 2021),
//     1 - z_p + weight mean_j max(0, z_j - margin).
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct CosineContrastive {
    static float row(float positive, float* z, int64_t n, float count, const RankingParameters& p, float* slope) {
        const float weight = p.negative_weight / count;
        vf value = {};
        for (int64_t j = 0; j < n; j += W) {
            const vf x = load(z + j) - p.margin;
            value += x > 0 ? x : vf{};
            store(z + j, x > 0 ? broadcast(weight) : vf{});
        }
        *slope = -1;
        return 1 - positive + weight * total(value);
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
