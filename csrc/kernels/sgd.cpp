// One block of the training grid: a step of stochastic gradient descent a triple, row-wise AdaGrad (Duchi, Hazan,
// Singer, JMLR 2011, one sum a row as in LIBMF: Chin, Zhuang, Juan, Lin, TIST 2015). The samples are in user order, so
// a user's row stays in registers for its whole run and only the item's row is loaded and stored.
//
// With e the descent of the loss, lambda the regularization, p and q the rows, a step is
//     p += s_p (e q - lambda p)      s_p = learning_rate / sqrt(sum_p)
//     q += s_q (e p - lambda q)      s_q = learning_rate / sqrt(sum_q)      (p as it was before)
// and the sums, from 1, grow by the mean square of the gradient, |e q - lambda p|^2 / factors, taken from three inner
// products: e^2 |q|^2 - 2 e lambda <p, q> + lambda^2 |p|^2.
#include "simd.h"

#include "losses/squared.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

constexpr int64_t max_registers_row = 128;  // floats; wider rows stay in memory
constexpr int prefetch_distance = 6;        // samples

// A square that comes from a difference: rounding may take it below zero. NaN stays, to be found after the epoch.
inline float positive(float x) { return x < 0 ? 0 : x; }

// Vectors in a row: N where it is known to the compiler, else read from the step.
template <class LossFn, int N>
double block(const Block& b, const Step& step) {
    const int64_t n = N ? N : step.width / W;
    const float lambda = step.regularization;
    const float mean = 1.0f / static_cast<float>(step.factors);
    const f4 rates = {step.learning_rate, step.learning_rate, step.bias_learning_rate, step.bias_learning_rate};
    double loss = 0;
    const Sample* s = b.samples;
    const Sample* const end = s + b.n_samples;
    while (s != end) {
        const uint16_t user = s->user;
        float* const user_row = b.users + static_cast<int64_t>(user) * step.width;
        RowState user_state = b.user_states[user];
        vf registers[N ? N : 1];
        if constexpr (N > 0)
            for (int64_t k = 0; k < n; ++k) registers[k] = load(user_row + k * W);
        vf* const p = N ? registers : reinterpret_cast<vf*>(user_row);
        do {
            vf* const q = reinterpret_cast<vf*>(b.items + static_cast<int64_t>(s->item) * step.width);
            RowState& item_state = b.item_states[s->item];
            if (end - s > prefetch_distance) {
                const int64_t ahead = s[prefetch_distance].item;
                const char* row = reinterpret_cast<const char*>(b.items + ahead * step.width);
                for (int64_t line = 0; line < n * W / 16; ++line) __builtin_prefetch(row + 64 * line, 1);
                __builtin_prefetch(b.item_states + ahead, 1);
            }

            vf pq = p[0] * q[0], qq = q[0] * q[0], pp = p[0] * p[0];
            for (int64_t k = 1; k < n; ++k) {
                pq += p[k] * q[k];
                qq += q[k] * q[k];
                pp += p[k] * p[k];
            }
            const f4 products = sums(pq, qq, pp, vf{});
            const float prediction = products[0] + (user_state.bias + item_state.bias);
            const float e = LossFn::descent(s->score, prediction);
            loss += LossFn::value(s->score, prediction);

            const f4 accumulated = {user_state.factor_step, item_state.factor_step, user_state.bias_step,
                                    item_state.bias_step};
            const f4 steps = rates / square_root(accumulated);
            const float cross = 2 * e * lambda * products[0];
            user_state.factor_step += mean * positive(e * e * products[1] - cross + lambda * lambda * products[2]);
            item_state.factor_step += mean * positive(e * e * products[2] - cross + lambda * lambda * products[1]);

            const vf keep_p = broadcast(1 - steps[0] * lambda), add_q = broadcast(steps[0] * e);
            const vf keep_q = broadcast(1 - steps[1] * lambda), add_p = broadcast(steps[1] * e);
            for (int64_t k = 0; k < n; ++k) {
                const vf old = p[k];
                p[k] = keep_p * old + add_q * q[k];
                q[k] = keep_q * q[k] + add_p * old;
            }
            const float user_gradient = e - lambda * user_state.bias, item_gradient = e - lambda * item_state.bias;
            user_state.bias += steps[2] * user_gradient;
            item_state.bias += steps[3] * item_gradient;
            user_state.bias_step += user_gradient * user_gradient;
            item_state.bias_step += item_gradient * item_gradient;
            ++s;
        } while (s != end && s->user == user);
        if constexpr (N > 0)
            for (int64_t k = 0; k < n; ++k) store(user_row + k * W, registers[k]);
        b.user_states[user] = user_state;
    }
    return loss;
}

template <class LossFn, int64_t Width = max_registers_row>
BlockFn specialised(int64_t width) {
    if (width == Width) return block<LossFn, Width / W>;
    if constexpr (Width > row_alignment) return specialised<LossFn, Width - row_alignment>(width);
    return block<LossFn, 0>;
}

BlockFn block_for(Loss loss, int64_t width) {
    switch (loss) {
#define MCFAST_LOSS_CASE(name, type) \
    case Loss::name: return specialised<type>(width);
        MCFAST_LOSSES(MCFAST_LOSS_CASE)
#undef MCFAST_LOSS_CASE
    }
    return nullptr;
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE

namespace mcfast::kernels {
extern const SgdTable MCFAST_TABLE(sgd);
const SgdTable MCFAST_TABLE(sgd) = {MCFAST_SET_NAMESPACE::block_for};
}  // namespace mcfast::kernels
