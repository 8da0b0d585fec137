// One block of the training grid: a step of stochastic gradient descent a sample, row-wise AdaGrad (Duchi, Hazan,
// Singer, JMLR 2011, one sum a row as in LIBMF: Chin, Zhuang, Juan, Lin, TIST 2015), see lanes.h. Alone, a user's steps
// would each wait for the one before; so four users go in lockstep, and what a step computes once stands in vector
// lanes. Samples that meet one item in the same step are done one after the other, in the order of the lanes.
//
// The plain kernel carries the norms from step to step. Where L1 or the bound at zero move the rows otherwise, the
// general one measures them at every step.
#include "exponential.h"
#include "lanes.h"

#include "losses/absolute.h"
#include "losses/hinge.h"
#include "losses/huber.h"
#include "losses/logistic.h"
#include "losses/poisson.h"
#include "losses/squared.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

constexpr int64_t max_width = 1024;
constexpr int prefetch_samples = 8, prefetch_groups = 1;  // ahead

inline vf* row_of(float* first, int64_t row, int64_t width) { return reinterpret_cast<vf*>(first + row * width); }

inline void prefetch(const float* row, int64_t width) {
    for (int64_t k = 0; k < width; k += 16) __builtin_prefetch(row + k, 1);
}

// <a[l], b[l]> for every lane.
inline f4 dots(vf* const* a, vf* const* b, int64_t n) {
    vf sum[lanes];
    for (int l = 0; l < lanes; ++l) sum[l] = a[l][0] * b[l][0];
    for (int64_t k = 1; k < n; ++k)
        for (int l = 0; l < lanes; ++l) sum[l] += a[l][k] * b[l][k];
    return sums(sum[0], sum[1], sum[2], sum[3]);
}

inline void update(vf* p, vf* q, const Move& user, const Move& item, int lane, int64_t n) {
    const vf keep_p = broadcast(user.keep[lane]), add_q = broadcast(user.add[lane]);
    const vf keep_q = broadcast(item.keep[lane]), add_p = broadcast(item.add[lane]);
    for (int64_t k = 0; k < n; ++k) {
        const vf old_p = p[k], old_q = q[k];
        p[k] = keep_p * old_p + add_q * old_q;
        q[k] = keep_q * old_q + add_p * old_p;
    }
}

// Moves x towards 0 by at most t; where negative numbers are not allowed, `least` is 0, else -inf.
inline vf shrink(vf x, vf t, vf least) {
    const vf above = x - t, below = x + t;
    const vf negative = below < 0 ? below : vf{};
    return (above > 0 ? above : vf{}) + (negative < least ? least : negative);
}

// The same with a proximal step for L1 and the bound at zero.
inline void update(vf* p, vf* q, const Move& user, const Move& item, int lane, int64_t n, const Step& step) {
    update(p, q, user, item, lane, n);
    const vf shrink_p = broadcast(user.step[lane] * step.user_l1), shrink_q = broadcast(item.step[lane] * step.item_l1);
    const vf least = broadcast(step.nonnegative ? 0 : -__builtin_inff());
    for (int64_t k = 0; k < n; ++k) {
        p[k] = shrink(p[k], shrink_p, least);
        q[k] = shrink(q[k], shrink_q, least);
    }
}

// Lanes whose item an earlier lane has as well.
inline i4 repeated(i4 items) {
    const i4 none = i4{} - lanes - 1;
    return (items == __builtin_shufflevector(items, none, 4, 0, 1, 2)) |
           (items == __builtin_shufflevector(items, none, 4, 5, 0, 1)) |
           (items == __builtin_shufflevector(items, none, 4, 5, 6, 0));
}

inline f4 shares_of(const float* shares, const i4& rows) {
    f4 out = f4{} + 1;
    if (shares)
        for (int l = 0; l < lanes; ++l) out[l] = rows[l] < 0 ? 0 : shares[rows[l]];
    return out;
}

template <class LossFn, bool Plain>
double block(const Block& b, const Step& step) {
    const int64_t width = step.width, n = width / W;
    const f4 user_l2 = f4{} + step.user_l2, item_l2 = f4{} + step.item_l2;
    const Rates rates{f4{} + step.learning_rate, f4{} + step.bias_learning_rate,
                      f4{} + 1.0f / static_cast<float>(step.factors), f4{} + step.bias_l2};
    const i4 lane = {0, 1, 2, 3};
    alignas(64) float nobody[max_width] = {};  // whom an idle lane meets
    RowState nobodys_state{1, 1, 0, 0};
    d4 loss = {};
    int64_t at = 0;
    for (const Group *group = b.groups, *end = group + b.n_groups; group != end; ++group) {
        vf* p[lanes];
        RowState* user_states[lanes];
        const i4 lengths = *reinterpret_cast<const i4_unaligned*>(group->lengths);
        for (int l = 0; l < lanes; ++l) {
            const bool real = group->lengths[l] > 0;
            p[l] = row_of(real ? b.user_factors : nobody, real ? group->users[l] : 0, width);
            user_states[l] = real ? b.user_states + group->users[l] : &nobodys_state;
        }
        if (end - group > prefetch_groups)
            for (const uint16_t user : group[prefetch_groups].users) {
                prefetch(b.user_factors + user * width, width);
                __builtin_prefetch(b.user_states + user, 1);
            }
        Lanes user = gather(user_states);
        user.norm = dots(p, p, n);
        f4 user_strength = user_l2;
        if constexpr (!Plain) {
            const i4 users = {group->users[0], group->users[1], group->users[2], group->users[3]};
            user_strength *= shares_of(b.user_shares, lengths > 0 ? users : i4{} - 1);
        }

        for (int32_t s = 0; s < group->lengths[0]; ++s) {
            for (int l = 0; l < lanes; ++l)
                prefetch(b.item_factors + b.items[at + prefetch_samples + l] * width, width);
            const i4 items = __builtin_convertvector(*reinterpret_cast<const h4_unaligned*>(b.items + at), i4);
            const f4 scores = *reinterpret_cast<const f4_unaligned*>(b.scores + at);
            f4 weights = f4{} + 1;
            if (!Plain && b.weights) weights = *reinterpret_cast<const f4_unaligned*>(b.weights + at);
            i4 waiting = lengths > s;
            at -= waiting[0] + waiting[1] + waiting[2] + waiting[3];  // true is -1
            do {
                const i4 again = repeated(waiting ? items : ~lane), active = waiting & ~again;
                const i4 rows = active ? items : i4{} - 1;
                waiting &= again;
                vf* q[lanes];
                RowState* item_states[lanes];
                for (int l = 0; l < lanes; ++l) {
                    q[l] = rows[l] < 0 ? reinterpret_cast<vf*>(nobody) : row_of(b.item_factors, rows[l], width);
                    item_states[l] = rows[l] < 0 ? &nobodys_state : b.item_states + rows[l];
                }
                Lanes item = gather(item_states);
                const f4 dot = dots(p, q, n);
                f4 item_strength = item_l2;
                if constexpr (!Plain) {
                    user.norm = dots(p, p, n);
                    item.norm = dots(q, q, n);
                    item_strength *= shares_of(b.item_shares, rows);
                }
                const f4 prediction = dot + (user.bias + item.bias + step.offset);
                f4 e = only(active, LossFn::descent(scores, prediction));
                f4 value = only(active, LossFn::value(scores, prediction));
                if constexpr (!Plain) {
                    e *= weights;
                    value *= weights;
                }
                loss += __builtin_convertvector(value, d4);
                const f4 user_norm = user.norm;
                const Move user_move = advance(user, item.norm, dot, e, user_strength, rates, active);
                const Move item_move = advance(item, user_norm, dot, e, item_strength, rates, active);
                scatter(item, item_states);
                for (int l = 0; l < lanes; ++l)
                    if constexpr (Plain)
                        update(p[l], q[l], user_move, item_move, l, n);
                    else
                        update(p[l], q[l], user_move, item_move, l, n, step);
            } while (any(waiting));
        }
        scatter(user, user_states);
    }
    return loss[0] + loss[1] + loss[2] + loss[3];
}

BlockFn block_for(Loss loss, bool plain) {
    switch (loss) {
#define MCFAST_LOSS_CASE(name, type, scores) \
    case Loss::name: return plain ? block<type, true> : block<type, false>;
        MCFAST_LOSSES(MCFAST_LOSS_CASE)
#undef MCFAST_LOSS_CASE
    }
    return nullptr;
}

void measure(const float* factors, RowState* states, int64_t n_rows, int64_t width) {
    for (int64_t r = 0; r < n_rows; ++r) {
        const float* const row = factors + r * width;
        vf sum = {};
        for (int64_t k = 0; k < width; k += W) sum += load(row + k) * load(row + k);
        states[r].norm = sums(sum, vf{}, vf{}, vf{})[0];
    }
}

template <class LossFn>
double total(const float* scores, const float* predictions, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += LossFn::value(f4{} + scores[i], f4{} + predictions[i])[0];
    return sum;
}

double loss_of(Loss loss, const float* of, const float* predictions, int64_t n) {
    switch (loss) {
#define MCFAST_LOSS_CASE(name, type, scores) \
    case Loss::name: return total<type>(of, predictions, n);
        MCFAST_LOSSES(MCFAST_LOSS_CASE)
#undef MCFAST_LOSS_CASE
    }
    return 0;
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE

namespace mcfast::kernels {
extern const SgdTable MCFAST_TABLE(sgd);
const SgdTable MCFAST_TABLE(sgd) = {MCFAST_SET_NAMESPACE::block_for, MCFAST_SET_NAMESPACE::measure,
                                    MCFAST_SET_NAMESPACE::loss_of};
}  // namespace mcfast::kernels
