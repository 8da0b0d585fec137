// Poisson loss of counts, the Kullback-Leibler divergence up to a term of the score alone. The prediction is the
// logarithm of the mean: it needs no bounds, and the loss stays convex in it.
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Poisson {
    template <class V>
    static V value(V score, V prediction) {
        return exp(prediction) - score * prediction;
    }
    // Minus the derivative of value() by the prediction.
    template <class V>
    static V descent(V score, V prediction) {
        return score - exp(prediction);
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
