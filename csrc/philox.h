// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
// generator. A value depends on (key, counter) alone, so any thread can draw any part of any stream.
#pragma once

#include <array>
#include <cstdint>

namespace mcfast {

// What a stream is drawn for; part of the counter, so that streams of one seed never meet.
enum class Stream : uint32_t {
    user_factors = 1,
    item_factors = 2,
    user_order = 3,
    item_order = 4,
    stripe_order = 5,
    positives = 6,  // their order in an epoch
    negatives = 7,
    pool = 8,  // among which hard negatives are looked for
    dropout = 9,
    ids = 10  // those that the default id stands in for
};

inline std::array<uint32_t, 4> philox(uint64_t seed, std::array<uint32_t, 4> counter) {
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        const uint64_t a = uint64_t{0xD2511F53u} * counter[0], b = uint64_t{0xCD9E8D57u} * counter[2];
        counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ k0, static_cast<uint32_t>(b),
                   static_cast<uint32_t>(a >> 32) ^ counter[3] ^ k1, static_cast<uint32_t>(a)};
    }
    return counter;
}

// Uniform in [-1, 1), 24 bits.
inline float symmetric(uint32_t bits) { return static_cast<float>(static_cast<int32_t>(bits) >> 8) * 0x1p-23f; }

// Uniform in 0 .. n-1 by the high half of a product; the bias is below n / 2^32.
inline uint32_t below(uint32_t bits, uint32_t n) { return static_cast<uint32_t>((uint64_t{bits} * n) >> 32); }

}  // namespace mcfast
