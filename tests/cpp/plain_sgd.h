// Stochastic gradient descent on one block as a plain loop in double precision: squared loss, row-wise AdaGrad.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/kernels.h"

namespace mcfast::test {

struct PlainRow {
    std::vector<double> factors;
    double bias = 0, factor_step = 1, bias_step = 1;

    // grad is minus the gradient by the factors.
    void step(const std::vector<double>& grad, double bias_grad, const kernels::Step& s) {
        const double rate = s.learning_rate / std::sqrt(factor_step);
        for (size_t k = 0; k < grad.size(); ++k) factors[k] += rate * grad[k];
        for (const double g : grad) factor_step += g * g / static_cast<double>(s.factors);
        bias += s.bias_learning_rate / std::sqrt(bias_step) * bias_grad;
        bias_step += bias_grad * bias_grad;
    }
};

inline double plain_block(const std::vector<kernels::Sample>& samples, std::vector<PlainRow>& users,
                          std::vector<PlainRow>& items, const kernels::Step& s) {
    const double lambda = s.regularization;
    double loss = 0;
    for (const kernels::Sample& sample : samples) {
        PlainRow &u = users[sample.user], &i = items[sample.item];
        double error = sample.score - u.bias - i.bias;
        for (size_t k = 0; k < u.factors.size(); ++k) error -= u.factors[k] * i.factors[k];
        loss += 0.5 * error * error;
        std::vector<double> user_grad, item_grad;
        for (size_t k = 0; k < u.factors.size(); ++k) {
            user_grad.push_back(error * i.factors[k] - lambda * u.factors[k]);
            item_grad.push_back(error * u.factors[k] - lambda * i.factors[k]);
        }
        u.step(user_grad, error - lambda * u.bias, s);
        i.step(item_grad, error - lambda * i.bias, s);
    }
    return loss;
}

}  // namespace mcfast::test
