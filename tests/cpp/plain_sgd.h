// Stochastic gradient descent on one block as a plain loop in double precision: row-wise AdaGrad, any loss.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kernels.h"

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

// Samples in user order as a block of groups: step by step, lane by lane.
struct Lockstep {
    std::vector<kernels::Group> groups;
    std::vector<uint16_t> items;
    std::vector<float> scores, weights;
    std::vector<Sample> samples;  // in the order of the kernel

    explicit Lockstep(const std::vector<Sample>& by_user) {
        std::vector<std::vector<Sample>> runs;
        for (const Sample& s : by_user) {
            if (runs.empty() || runs.back().back().user != s.user) runs.emplace_back();
            runs.back().push_back(s);
        }
        std::stable_sort(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
        for (size_t first = 0; first < runs.size(); first += kernels::lanes) {
            const size_t n = std::min<size_t>(kernels::lanes, runs.size() - first);
            kernels::Group group{};
            for (size_t l = 0; l < n; ++l) {
                group.users[l] = runs[first + l][0].user;
                group.lengths[l] = static_cast<int32_t>(runs[first + l].size());
            }
            groups.push_back(group);
            for (size_t s = 0; s < runs[first].size(); ++s)
                for (size_t l = 0; l < n && s < runs[first + l].size(); ++l) samples.push_back(runs[first + l][s]);
        }
        for (const Sample& s : samples) {
            items.push_back(s.item);
            scores.push_back(s.score);
            weights.push_back(s.weight);
        }
        items.resize(items.size() + kernels::overrun);
        scores.resize(scores.size() + kernels::overrun);
        weights.resize(weights.size() + kernels::overrun);
    }

    kernels::Block block() const {
        kernels::Block out{};
        out.groups = groups.data();
        out.n_groups = static_cast<int64_t>(groups.size());
        out.items = items.data();
        out.scores = scores.data();
        return out;
    }
};

}  // namespace mcfast::test
