// Squared loss: (score - prediction)^2 / 2, so that its derivative is the error.
// No include guard against several sets: simd.h has named the namespace of the one being compiled.
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Squared {
    static double value(float score, float prediction) {
        const double error = static_cast<double>(score) - prediction;
        return 0.5 * error * error;
    }
    // Minus the derivative of value() by the prediction.
    static float descent(float score, float prediction) { return score - prediction; }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
