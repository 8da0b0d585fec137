// Absolute loss: |score - prediction|. It finds medians, and outliers weigh no more than others.
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Absolute {
    template <class V>
    static V value(V score, V prediction) {
        const V error = score - prediction;
        return error < 0 ? -error : error;
    }
    // Minus the derivative of value() by the prediction.
    template <class V>
    static V descent(V score, V prediction) {
        const V error = score - prediction;
        return error < 0 ? V{} - 1 : error > 0 ? V{} + 1 : V{};
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
