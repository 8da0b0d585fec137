// Four rows of one side as lanes of vectors: what they carry, and what a step does to it.
//
// With e the descent of the loss, lambda the regularization, p the row and q the other side's, a step is
//     p += s (e q - lambda p)      s = learning_rate / sqrt(sum)
// which leaves p = keep p + add q. The sum, from 1, grows by the mean square of the gradient, and |p|^2 follows in
// closed form, both from the norms and <p, q>:
//     |e q - lambda p|^2 = e^2 |q|^2 - 2 e lambda <p, q> + lambda^2 |p|^2
//     |keep p + add q|^2 = keep^2 |p|^2 + 2 keep add <p, q> + add^2 |q|^2
#pragma once

#include "simd.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

struct Lanes {
    f4 factor_step, bias_step, bias, norm;
};

// a, b, c, d become the columns of what they were.
inline void transpose(f4& a, f4& b, f4& c, f4& d) {
    const f4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const f4 cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    a = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    b = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

inline Lanes gather(RowState* const* from) {
    f4 row[lanes];
    for (int l = 0; l < lanes; ++l) row[l] = *reinterpret_cast<const f4_unaligned*>(from[l]);
    transpose(row[0], row[1], row[2], row[3]);
    return {row[0], row[1], row[2], row[3]};
}

inline void scatter(Lanes x, RowState* const* to) {
    transpose(x.factor_step, x.bias_step, x.bias, x.norm);
    const f4 row[lanes] = {x.factor_step, x.bias_step, x.bias, x.norm};
    for (int l = 0; l < lanes; ++l) *reinterpret_cast<f4_unaligned*>(to[l]) = row[l];
}

inline f4 only(i4 active, f4 x) { return reinterpret_cast<f4>(reinterpret_cast<i4>(x) & active); }

// A square that comes from a difference: rounding may take it below zero. NaN stays, to be found after the epoch.
inline f4 positive(f4 x) { return x < 0 ? f4{} : x; }

struct Rates {
    f4 factors, biases;
    f4 mean;  // 1 / the number of factors
    f4 bias_l2;
};

// What becomes of a row: keep * row + add * other.
struct Move {
    f4 step, keep, add;
};

// Steps the states of active lanes; idle ones get the move that changes nothing. `e` must be 0 where idle.
inline Move advance(Lanes& row, f4 other_norm, f4 dot, f4 e, f4 l2, const Rates& rates, i4 active) {
    const f4 step = only(active, rates.factors / square_root(row.factor_step));
    const f4 bias_step = only(active, rates.biases / square_root(row.bias_step));
    const Move move{step, 1 - step * l2, step * e};
    const f4 square = e * (e * other_norm - 2 * l2 * dot) + l2 * l2 * row.norm;
    row.factor_step += only(active, rates.mean * positive(square));
    row.norm = move.keep * (move.keep * row.norm + 2 * move.add * dot) + move.add * move.add * other_norm;
    const f4 bias_descent = only(active, e - rates.bias_l2 * row.bias);
    row.bias += bias_step * bias_descent;
    row.bias_step += bias_descent * bias_descent;
    return move;
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
