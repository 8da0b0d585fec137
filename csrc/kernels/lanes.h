// Four users and the four items they meet as lanes of vectors: what their rows carry, and what a step does to it.
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

// Users in lanes 0 to 3, items in 4 to 7.
struct Lanes {
    f8 factor_step, bias_step, bias, norm;
};

inline f8 join(f4 users, f4 items) { return __builtin_shufflevector(users, items, 0, 1, 2, 3, 4, 5, 6, 7); }
inline f4 users_of(f8 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3); }
inline f4 items_of(f8 v) { return __builtin_shufflevector(v, v, 4, 5, 6, 7); }
inline f8 others(f8 v) { return __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3); }

// a, b, c, d become the columns of what they were, in each half.
inline void transpose(f8& a, f8& b, f8& c, f8& d) {
    const f8 ab = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
    const f8 ab_high = __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    const f8 cd = __builtin_shufflevector(c, d, 0, 8, 1, 9, 4, 12, 5, 13);
    const f8 cd_high = __builtin_shufflevector(c, d, 2, 10, 3, 11, 6, 14, 7, 15);
    a = __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13);
    b = __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
    c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 8, 9, 4, 5, 12, 13);
    d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 10, 11, 6, 7, 14, 15);
}

inline Lanes gather(RowState* const* users, RowState* const* items) {
    f8 row[lanes];
    for (int l = 0; l < lanes; ++l)
        row[l] =
            join(*reinterpret_cast<const f4_unaligned*>(users[l]), *reinterpret_cast<const f4_unaligned*>(items[l]));
    transpose(row[0], row[1], row[2], row[3]);
    return {row[0], row[1], row[2], row[3]};
}

inline void scatter(Lanes x, RowState* const* users, RowState* const* items) {
    transpose(x.factor_step, x.bias_step, x.bias, x.norm);
    const f8 row[lanes] = {x.factor_step, x.bias_step, x.bias, x.norm};
    for (int l = 0; l < lanes; ++l) {
        *reinterpret_cast<f4_unaligned*>(users[l]) = users_of(row[l]);
        *reinterpret_cast<f4_unaligned*>(items[l]) = items_of(row[l]);
    }
}

inline f4 only(i4 active, f4 x) { return reinterpret_cast<f4>(reinterpret_cast<i4>(x) & active); }

// A square that comes from a difference: rounding may take it below zero. NaN stays, to be found after the epoch.
inline f8 positive(f8 x) { return x < 0 ? f8{} : x; }

struct Rates {
    f8 factors, biases;
    f8 mean;  // 1 / the number of factors
    f8 bias_l2;
};

// What becomes of a row: keep * row + add * other.
struct Move {
    f8 step, keep, add;
};

// Steps the states. An idle lane whose e is 0 and whose rows are 0 stays as it is.
inline Move advance(Lanes& row, f8 dot, f8 e, f8 l2, const Rates& rates) {
    const f8 step = rates.factors / square_root(row.factor_step), bias_step = rates.biases / square_root(row.bias_step);
    const Move move{step, 1 - step * l2, step * e};
    const f8 other_norm = others(row.norm);
    const f8 square = e * (e * other_norm - 2 * l2 * dot) + l2 * l2 * row.norm;
    row.factor_step += rates.mean * positive(square);
    row.norm = move.keep * (move.keep * row.norm + 2 * move.add * dot) + move.add * move.add * other_norm;
    const f8 bias_descent = e - rates.bias_l2 * row.bias;
    row.bias += bias_step * bias_descent;
    row.bias_step += bias_descent * bias_descent;
    return move;
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
