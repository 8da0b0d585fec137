// Huber loss: squared for errors up to one standard deviation of the scores, absolute beyond (Huber, Annals of
// Mathematical Statistics 1964).
#pragma once

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Huber {
    template <class V>
    static V value(V score, V prediction) {
        const V error = score - prediction, size = error < 0 ? -error : error;
        return size < 1 ? error * error / 2 : size - 0.5f;
    }
    // Minus the derivative of value() by the prediction.
    template <class V>
    static V descent(V score, V prediction) {
        const V error = score - prediction;
        return error < -1 ? V{} - 1 : error > 1 ? V{} + 1 : error;
    }
};

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
