// One block of the training grid: a step of stochastic gradient descent a sample, row-wise AdaGrad (Duchi, Hazan,
// Singer, JMLR 2011, one sum a row as in LIBMF: Chin, Zhuang, Juan, Lin, TIST 2015), see lanes.h.
//
// Four samples of different users and items make a step: what they compute once stands in vector lanes. Inner products,
// scalars and updates of one step wait for each other; so, where the next step shares no row with it, its inner
// products come before the updates of this one, and the processor has work while it waits.
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

constexpr int64_t max_width = 1024, any_width = 0;
constexpr int64_t prefetch_steps = 3;  // ahead
constexpr int64_t line = 16;           // floats in a line of the cache

inline vf* row_of(float* first, int64_t row, int64_t width) { return reinterpret_cast<vf*>(first + row * width); }

inline void prefetch(const float* row, int64_t width) {
    for (int64_t k = 0; k < width; k += line) __builtin_prefetch(row + k, 1);
}

// <a[l], b[l]> for every lane.
inline f4 dots(vf* const* a, vf* const* b, int64_t n) {
    vf sum[lanes];
    for (int l = 0; l < lanes; ++l) sum[l] = a[l][0] * b[l][0];
    for (int64_t k = 1; k < n; ++k)
        for (int l = 0; l < lanes; ++l) sum[l] += a[l][k] * b[l][k];
    return sums(sum[0], sum[1], sum[2], sum[3]);
}

// Fetches a row that is soon needed meanwhile: the lines of four at once are more than a processor can wait for.
inline void update(vf* p, vf* q, const float* soon, const Move& move, int lane, int64_t n) {
    const vf keep_p = broadcast(move.keep[lane]), add_q = broadcast(move.add[lane]);
    const vf keep_q = broadcast(move.keep[lanes + lane]), add_p = broadcast(move.add[lanes + lane]);
    for (int64_t k = 0; k < n; ++k) {
        if (k * W % line == 0) __builtin_prefetch(soon + k * W, 1);
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
inline void update(vf* p, vf* q, const float* soon, const Move& move, int lane, int64_t n, const Step& step) {
    update(p, q, soon, move, lane, n);
    const vf shrink_p = broadcast(move.step[lane] * step.user_l1);
    const vf shrink_q = broadcast(move.step[lanes + lane] * step.item_l1);
    const vf least = broadcast(step.nonnegative ? 0 : -__builtin_inff());
    for (int64_t k = 0; k < n; ++k) {
        p[k] = shrink(p[k], shrink_p, least);
        q[k] = shrink(q[k], shrink_q, least);
    }
}

inline f4 shares_of(const float* shares, const uint16_t* rows) {
    f4 out = f4{} + 1;
    if (shares)
        for (int l = 0; l < lanes; ++l) out[l] = rows[l] == idle ? 0 : shares[rows[l]];
    return out;
}

// A step under way: its rows, and what becomes of them.
struct Work {
    vf *p[lanes], *q[lanes];
    Move move;
};

template <class LossFn, bool Plain, int64_t Width>
double block(const Block& b, const Step& step) {
    const int64_t width = Width == any_width ? step.width : Width, n = width / W;
    const f8 l2 = join(f4{} + step.user_l2, f4{} + step.item_l2);
    const Rates rates{f8{} + step.learning_rate, f8{} + step.bias_learning_rate,
                      f8{} + 1.0f / static_cast<float>(step.factors), f8{} + step.bias_l2};
    alignas(64) float nobody[max_width] = {};  // whom an idle lane meets
    RowState nobodys_state{1, 1, 0, 0};
    const float* soon[lanes] = {nobody, nobody, nobody, nobody};  // items of a step ahead
    const auto finish = [&](const Work& work) {
        for (int l = 0; l < lanes; ++l)
            if constexpr (Plain)
                update(work.p[l], work.q[l], soon[l], work.move, l, n);
            else
                update(work.p[l], work.q[l], soon[l], work.move, l, n, step);
    };
    Work work[2];
    for (int l = 0; l < lanes; ++l) work[1].p[l] = work[1].q[l] = reinterpret_cast<vf*>(nobody);
    work[1].move = Move{f8{}, f8{}, f8{}};
    d4 loss = {};
    int64_t s = 0;
    for (const Stretch *stretch = b.stretches, *end = stretch + b.n_stretches; stretch != end; ++stretch) {
        const int64_t last_overlapping = s + stretch->overlapping, last = last_overlapping + stretch->others;
        for (; s < last; ++s) {
            Work &now = work[s & 1], &before = work[~s & 1];
            const Samples& samples = b.steps[s];
            const Samples& ahead = b.steps[s + prefetch_steps];
            RowState *user_states[lanes], *item_states[lanes];
            for (int l = 0; l < lanes; ++l) {
                prefetch(b.user_factors + ahead.users[l] * width, width);
                soon[l] = b.item_factors + ahead.items[l] * width;
                now.p[l] = row_of(b.user_factors, samples.users[l], width);
                now.q[l] = row_of(b.item_factors, samples.items[l], width);
                user_states[l] = b.user_states + samples.users[l];
                item_states[l] = b.item_states + samples.items[l];
            }
            const bool overlaps = s < last_overlapping;
            i4 active = i4{} - 1;
            if (!overlaps) {
                finish(before);
                for (int l = 0; l < lanes; ++l)
                    if (samples.users[l] == idle) {
                        now.p[l] = now.q[l] = reinterpret_cast<vf*>(nobody);
                        user_states[l] = item_states[l] = &nobodys_state;
                        active[l] = 0;
                    }
            }
            Lanes rows = gather(user_states, item_states);
            const f4 dot = dots(now.p, now.q, n);
            if (overlaps) finish(before);
            f8 strength = l2;
            if constexpr (!Plain) {
                rows.norm = join(dots(now.p, now.p, n), dots(now.q, now.q, n));
                strength *= join(shares_of(b.user_shares, samples.users), shares_of(b.item_shares, samples.items));
            }
            const f4 scores = *reinterpret_cast<const f4_unaligned*>(samples.scores);
            const f4 prediction = dot + (users_of(rows.bias) + items_of(rows.bias) + step.offset);
            f4 e = only(active, LossFn::descent(scores, prediction));
            f4 value = only(active, LossFn::value(scores, prediction));
            if (!Plain && b.weights) {
                const f4 weights = *reinterpret_cast<const f4_unaligned*>(b.weights + s * lanes);
                e *= weights;
                value *= weights;
            }
            loss += __builtin_convertvector(value, d4);
            now.move = advance(rows, join(dot, dot), join(e, e), strength, rates);
            scatter(rows, user_states, item_states);
        }
    }
    finish(work[~s & 1]);
    return loss[0] + loss[1] + loss[2] + loss[3];
}

template <class LossFn>
BlockFn plain_block_for(int64_t width) {
    switch (width) {
        case 32: return block<LossFn, true, 32>;
        case 64: return block<LossFn, true, 64>;
        case 128: return block<LossFn, true, 128>;
        default: return block<LossFn, true, any_width>;
    }
}

BlockFn block_for(Loss loss, bool plain, int64_t width) {
    switch (loss) {
#define MCFAST_LOSS_CASE(name, type, scores) \
    case Loss::name: return plain ? plain_block_for<type>(width) : block<type, false, any_width>;
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
