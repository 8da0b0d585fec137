// Vectors at the native width of the instruction set that the including file is compiled for (MCFAST_SET, from CMake).
// Kernels are written in the compiler's vector extensions; the few intrinsics they need stand here.
//
// Every kernel file puts its code into MCFAST_SET_NAMESPACE and an unnamed namespace, and defines one symbol, its
// table. It includes no standard-library header with inline functions: the linker would keep one copy for all sets,
// perhaps the one for the newest processor.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels.h"

#define MCFAST_JOIN_(a, b) a##_##b
#define MCFAST_JOIN(a, b) MCFAST_JOIN_(a, b)
#define MCFAST_SET_NAMESPACE MCFAST_JOIN(set, MCFAST_SET)
#define MCFAST_TABLE(name) MCFAST_JOIN(name, MCFAST_SET)

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr int W = 16;  // floats in a vector
#elif defined(__AVX__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float vf __attribute__((vector_size(W * sizeof(float)), may_alias));
typedef float vf_unaligned __attribute__((vector_size(W * sizeof(float)), may_alias, aligned(4)));
typedef double vd __attribute__((vector_size(W / 2 * sizeof(double)), may_alias));
typedef float half_vf_unaligned __attribute__((vector_size(W / 2 * sizeof(float)), may_alias, aligned(4)));
typedef float f4 __attribute__((vector_size(16), may_alias));
typedef float f4_unaligned __attribute__((vector_size(16), may_alias, aligned(4)));
typedef float f8 __attribute__((vector_size(32), may_alias));
typedef int32_t i4 __attribute__((vector_size(16), may_alias));
typedef double d4 __attribute__((vector_size(32), may_alias));

typedef int32_t vi __attribute__((vector_size(W * sizeof(int32_t)), may_alias));

inline vf load(const float* p) { return *reinterpret_cast<const vf*>(p); }
inline vf load_unaligned(const float* p) { return *reinterpret_cast<const vf_unaligned*>(p); }
inline void store(float* p, vf v) { *reinterpret_cast<vf*>(p) = v; }
inline vi load_codes(const uint8_t* p) { return *reinterpret_cast<const vi*>(p); }
inline vf broadcast(float x) { return x - vf{}; }
inline vd load_as_double(const float* p) {
    return __builtin_convertvector(*reinterpret_cast<const half_vf_unaligned*>(p), vd);
}

// Finite fp16 numbers, shifted to where fp32 has exponent and fraction, lack 112 in the exponent.
inline vd load_as_double(const uint16_t* p) {
    typedef uint32_t vu __attribute__((vector_size(W / 2 * sizeof(uint32_t)), may_alias));
    typedef float vhf __attribute__((vector_size(W / 2 * sizeof(float)), may_alias));
    typedef uint16_t vh __attribute__((vector_size(W / 2 * sizeof(uint16_t)), may_alias, aligned(2)));
    const vu bits = __builtin_convertvector(*reinterpret_cast<const vh*>(p), vu);
    const vhf size = (vhf)((bits & 0x7fff) << 13) * 0x1p112f;
    return __builtin_convertvector((vhf)((vu)size | (bits & 0x8000) << 16), vd);
}

// The sums of four vectors as four lanes, added in a fixed order.
inline f4 sums(f4 a, f4 b, f4 c, f4 d) {
    const f4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const f4 cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}
#if defined(__AVX__)
inline f4 fold(f8 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7); }
inline f4 sums(f8 a, f8 b, f8 c, f8 d) { return sums(fold(a), fold(b), fold(c), fold(d)); }
#endif
#if defined(__AVX512F__)
inline f8 fold(vf v) {
    return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
           __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}
inline f4 sums(vf a, vf b, vf c, vf d) { return sums(fold(a), fold(b), fold(c), fold(d)); }
#endif

inline f4 square_root(f4 v) {
#if defined(__x86_64__)
    return _mm_sqrt_ps(v);
#elif defined(__aarch64__)
    return vsqrtq_f32(v);
#else
    return f4{__builtin_sqrtf(v[0]), __builtin_sqrtf(v[1]), __builtin_sqrtf(v[2]), __builtin_sqrtf(v[3])};
#endif
}

inline f8 square_root(f8 v) {
#if defined(__AVX__)
    return _mm256_sqrt_ps(v);
#else
    const f4 low = square_root(__builtin_shufflevector(v, v, 0, 1, 2, 3));
    const f4 high = square_root(__builtin_shufflevector(v, v, 4, 5, 6, 7));
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
#endif
}

// Bit i is set unless a[i] < b[i]: NaN counts as not less.
inline uint32_t not_less(vf a, vf b) {
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ);
#elif defined(__AVX__)
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLT_UQ)));
#elif defined(__x86_64__)
    return static_cast<uint32_t>(_mm_movemask_ps(_mm_cmpnlt_ps(a, b)));
#else
    uint32_t mask = 0;
    for (int i = 0; i < W; ++i) mask |= static_cast<uint32_t>(!(a[i] < b[i])) << i;
    return mask;
#endif
}

// Sums of products of unsigned items and signed queries: a lane of 32 bits takes four neighbours at a time, on most
// sets in two halves of 16 bits, which may wrap around on the way; lane_sums undoes that where the halves fit in the
// end.
#if defined(__AVX512VNNI__)
typedef vi vsum;

inline vsum start_sums(Bias bias) { return bias.whole - vsum{}; }
inline vsum add_products(vsum sum, vi items, vi query) {
    return (vsum)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)items, (__m512i)query);
}
inline vi lane_sums(vsum sum) { return sum; }
#else
typedef uint16_t vsum __attribute__((vector_size(sizeof(vi)), may_alias));

inline vsum start_sums(Bias bias) { return (vsum)(static_cast<int32_t>(bias.lanes) - vi{}); }
#if defined(__AVX512BW__)
inline vsum add_products(vsum sum, vi items, vi query) {
    return sum + (vsum)_mm512_maddubs_epi16((__m512i)items, (__m512i)query);
}
inline vi lane_sums(vsum sum) { return (vi)_mm512_madd_epi16((__m512i)sum, _mm512_set1_epi16(1)); }
#elif defined(__AVX2__)
inline vsum add_products(vsum sum, vi items, vi query) {
    return sum + (vsum)_mm256_maddubs_epi16((__m256i)items, (__m256i)query);
}
inline vi lane_sums(vsum sum) { return (vi)_mm256_madd_epi16((__m256i)sum, _mm256_set1_epi16(1)); }
#else
inline vsum add_products(vsum sum, vi items, vi query) {
    typedef int16_t vs __attribute__((vector_size(sizeof(vi)), may_alias));
    const vsum even = (vsum)items & 255, odd = (vsum)items >> 8;
    const vs query_even = (vs)((vsum)query << 8) >> 8, query_odd = (vs)query >> 8;
    return sum + even * (vsum)query_even + odd * (vsum)query_odd;
}
inline vi lane_sums(vsum sum) {
    typedef uint32_t vu __attribute__((vector_size(sizeof(vi)), may_alias));
    return ((vi)((vu)sum << 16) >> 16) + ((vi)sum >> 16);
}
#endif
#endif

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE
