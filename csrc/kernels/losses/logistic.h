// Logistic loss of labels 0 and 1, or of probabilities: the cross-entropy; the prediction is the log-odds of a 1.
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Logistic {
    template <class V>
    static V value(V score, V prediction) {
        const V size = prediction < 0 ? -prediction : prediction;
        const V positive = prediction < 0 ? V{} : prediction;
        return positive - score * prediction + log(1 + exp(-size));
    }
    // Minus the derivative of value() by the prediction.
    template <class V>
    static V descent(V score, V prediction) {
        return score - 1 / (1 + exp(-prediction));
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
