// Hinge loss of labels -1 and +1: max(0, 1 - score * prediction).
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Hinge {
    template <class V>
    static V value(V score, V prediction) {
        const V margin = 1 - score * prediction;
        return margin > 0 ? margin : V{};
    }
    // Minus the derivative of value() by the prediction.
    template <class V>
    static V descent(V score, V prediction) {
        return score * prediction < 1 ? score : V{};
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
