// Stochastic gradient descent on one block as a plain loop in double precision: row-wise AdaGrad, any loss.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "train/layout.h"

namespace mcfast::test {

struct PlainRow {
    std::vector<double> factors;
    double bias = 0, factor_step = 1, bias_step = 1;

    // grad is minus the gradient by the factors, without L1, whose step is a proximal one.
    void step(const std::vector<double>& grad, double bias_grad, double l1, const kernels::Step& s) {
        const double rate = s.learning_rate / std::sqrt(factor_step);
        for (size_t k = 0; k < grad.size(); ++k) {
            const double moved = factors[k] + rate * grad[k];
            factors[k] = std::copysign(std::max(std::fabs(moved) - rate * l1, 0.0), moved);
            if (s.nonnegative) factors[k] = std::max(factors[k], 0.0);
        }
        for (const double g : grad) factor_step += g * g / static_cast<double>(s.factors);
        bias += s.bias_learning_rate / std::sqrt(bias_step) * bias_grad;
        bias_step += bias_grad * bias_grad;
    }
};

struct Sample {
    uint16_t user, item;
    float score;
    float weight = 1, user_share = 1, item_share = 1;
};

// LossFn(score, prediction) returns the loss and minus its derivative.
template <class LossFn>
double plain_block(const std::vector<Sample>& samples, std::vector<PlainRow>& users, std::vector<PlainRow>& items,
                   const kernels::Step& s, const LossFn& loss_fn) {
    double loss = 0;
    for (const Sample& sample : samples) {
        PlainRow &u = users[sample.user], &i = items[sample.item];
        double prediction = u.bias + i.bias + s.offset;
        for (size_t k = 0; k < u.factors.size(); ++k) prediction += u.factors[k] * i.factors[k];
        auto [value, e] = loss_fn(static_cast<double>(sample.score), prediction);
        loss += sample.weight * value;
        e *= sample.weight;
        std::vector<double> user_grad, item_grad;
        for (size_t k = 0; k < u.factors.size(); ++k) {
            user_grad.push_back(e * i.factors[k] - sample.user_share * s.user_l2 * u.factors[k]);
            item_grad.push_back(e * u.factors[k] - sample.item_share * s.item_l2 * i.factors[k]);
        }
        u.step(user_grad, e - s.bias_l2 * u.bias, s.user_l1, s);
        i.step(item_grad, e - s.bias_l2 * i.bias, s.item_l1, s);
    }
    return loss;
}

inline std::pair<double, double> plain_squared(double score, double prediction) {
    return {0.5 * (score - prediction) * (score - prediction), score - prediction};
}

// Samples laid out for the kernel, and the same in its order.
struct Lockstep {
    train::Layout layout;
    train::Steps steps;
    std::vector<Sample> samples;

    explicit Lockstep(const std::vector<Sample>& any_order) {
        std::vector<train::Loose> loose;
        std::vector<float> weights;
        std::vector<Sample> sorted = any_order;
        std::stable_sort(sorted.begin(), sorted.end(),
                         [](const Sample& a, const Sample& b) { return a.user < b.user; });
        for (const Sample& s : sorted) {
            loose.push_back({s.user, s.item, s.score});
            weights.push_back(s.weight);
        }
        steps = layout(loose.data(), weights.data(), static_cast<int64_t>(loose.size()));
        const auto with = [&](const auto& same) { return *std::find_if(any_order.begin(), any_order.end(), same); };
        steps.for_each([&](uint16_t user, uint16_t item, float score, float weight) {
            samples.push_back({user, item, score, weight,
                               with([&](const Sample& s) { return s.user == user; }).user_share,
                               with([&](const Sample& s) { return s.item == item; }).item_share});
        });
    }

    // Without weights, which only the general kernel knows.
    kernels::Block block() const {
        kernels::Block out = steps.block();
        out.weights = nullptr;
        return out;
    }
};

}  // namespace mcfast::test
