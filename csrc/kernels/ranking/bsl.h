// Bilateral softmax loss (Wu, Chen, Wu, Shi, Zhang, Wang: "BSL: understanding and improving softmax loss for
// recommendation", ICDE 2024), the negatives weighted against the positive:
//     -z_p + weight log(sum_j e^{z_j}).
// With weight 1 it is softmax without the positive in the sum (decoupled: Yeh et al., ECCV 2022).
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Bilateral {
    static float row(float positive, float* z, int64_t n, float, const RankingParameters& p, float* slope) {
        const Exponentials sum = exponentials(z, n, lowest);
        *slope = -1;
        if (sum.most == lowest) {  // no negative is left
            scale(z, n, 0);
            return -positive;
        }
        scale(z, n, p.negative_weight / sum.value);
        return p.negative_weight * (sum.most + scalar_log(sum.value)) - positive;
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
