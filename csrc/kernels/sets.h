// The registry of instruction sets: X(symbol, name, test whether this machine has it), the plainest first.
// CMakeLists.txt gives the compiler options of each.
#pragma once

#if defined(MCFAST_AVX512)
#define MCFAST_AVX512_SETS(X)                               \
    X(v4, "x86-64-v4", __builtin_cpu_supports("x86-64-v4")) \
    X(vnni, "x86-64-v4-vnni", __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni"))
#else
#define MCFAST_AVX512_SETS(X)
#endif

#if defined(__x86_64__)
#define MCFAST_SETS(X)    \
    X(base, "base", true) \
    X(v3, "x86-64-v3", __builtin_cpu_supports("x86-64-v3")) MCFAST_AVX512_SETS(X)
#else
#define MCFAST_SETS(X) X(base, "base", true)
#endif
