// Loops that do nothing but load, or multiply and add; compiled once an instruction set.
#pragma once

#include <stdint.h>

namespace mcfast::bench {

struct LimitsTable {
    // Loads n floats, a multiple of 128, 64-byte aligned; returns their sum.
    float (*load)(const float* from, int64_t n);
    // Rounds of independent multiply-adds; returns the sum of what comes out.
    float (*multiply_add)(int64_t rounds);
    int64_t flops_a_round;
};

}  // namespace mcfast::bench
