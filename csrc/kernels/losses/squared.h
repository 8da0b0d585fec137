// Squared loss: (score - prediction)^2 / 2, so that its derivative is the error.
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Squared {
    template <class V>
    static V value(V score, V prediction) {
        const V error = score - prediction;
        return error * error / 2;
    }
    // Minus the derivative of value() by the prediction.
    template <class V>
    static V descent(V score, V prediction) {
        return score - prediction;
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
