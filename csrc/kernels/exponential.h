// exp and log of vectors of any width, by polynomials (Cephes, Moshier 1992): the same bits whatever the C library.
// Relative errors below 2e-7; arguments of exp are clamped to +-87, those of log must be normal and positive.
#pragma once

#include "simd.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

template <class V>
inline V exp(V x) {
    using Int = decltype(x < x);
    x = x > 87 ? V{} + 87 : x < -87 ? V{} - 87 : x;
    const Int n = __builtin_convertvector(x * 1.44269504f + (x < 0 ? V{} - 0.5f : V{} + 0.5f), Int);
    const V whole = __builtin_convertvector(n, V);
    const V r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    V y = r * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1;
    return y * reinterpret_cast<V>((n + 127) << 23);
}

template <class V>
inline V log(V x) {
    using Int = decltype(x < x);
    const Int bits = reinterpret_cast<Int>(x);
    Int exponent = (bits >> 23) - 126;
    V m = reinterpret_cast<V>((bits & 0x007fffff) | 0x3f000000);  // 0.5 .. 1
    const Int small = m < 0.707106781f;
    exponent += small;  // true is -1
    m = (small ? m + m : m) - 1;
    V y = m * 7.0376836292e-2f - 1.1514610310e-1f;
    y = y * m + 1.1676998740e-1f;
    y = y * m - 1.2420140846e-1f;
    y = y * m + 1.4249322787e-1f;
    y = y * m - 1.6668057665e-1f;
    y = y * m + 2.0000714765e-1f;
    y = y * m - 2.4999993993e-1f;
    y = y * m + 3.3333331174e-1f;
    const V e = __builtin_convertvector(exponent, V), square = m * m;
    return (y * m * square - e * 2.12194440e-4f - 0.5f * square) + m + e * 0.693359375f;
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
