// exp and log of four floats, by polynomials (Cephes, Moshier 1992): the same bits whatever the C library. Relative
// errors below 2e-7; arguments of exp are clamped to +-87, those of log must be normal and positive.
#pragma once

#include "simd.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

inline f4 exp(f4 x) {
    x = x > 87 ? f4{} + 87 : x < -87 ? f4{} - 87 : x;
    const i4 n = __builtin_convertvector(x * 1.44269504f + (x < 0 ? f4{} - 0.5f : f4{} + 0.5f), i4);
    const f4 whole = __builtin_convertvector(n, f4);
    const f4 r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    f4 y = r * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1;
    return y * reinterpret_cast<f4>((n + 127) << 23);
}

inline f4 log(f4 x) {
    const i4 bits = reinterpret_cast<i4>(x);
    i4 exponent = (bits >> 23) - 126;
    f4 m = reinterpret_cast<f4>((bits & 0x007fffff) | 0x3f000000);  // 0.5 .. 1
    const i4 small = m < 0.707106781f;
    exponent += small;  // true is -1
    m = (small ? m + m : m) - 1;
    f4 y = m * 7.0376836292e-2f - 1.1514610310e-1f;
    y = y * m + 1.1676998740e-1f;
    y = y * m - 1.2420140846e-1f;
    y = y * m + 1.4249322787e-1f;
    y = y * m - 1.6668057665e-1f;
    y = y * m + 2.0000714765e-1f;
    y = y * m - 2.4999993993e-1f;
    y = y * m + 3.3333331174e-1f;
    const f4 e = __builtin_convertvector(exponent, f4), square = m * m;
    return (y * m * square - e * 2.12194440e-4f - 0.5f * square) + m + e * 0.693359375f;
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
