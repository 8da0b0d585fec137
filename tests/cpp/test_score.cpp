#include <gtest/gtest.h>

#include "support.h"

namespace mcfast::test {
namespace {

// Magnitudes over many orders, so that a sum in another order has other bits.
Buffer<float> spread(Random& random, int64_t n, int64_t width) {
    return matrix(n, width, [&] { return std::ldexp(uniform(random), static_cast<int>(integer(random, -20, 20))); });
}

TEST(Score, SameBitsAsPlainLoopsOnEverySet) {
    Random random(1);
    for (int64_t width = 16; width <= 1024; width += 16) {
        const Buffer<float> a = spread(random, 2, width), b = spread(random, 2, width);
        const double offset = uniform(random);
        // One float on: rows that come from outside are aligned to 4 bytes only.
        for (const int64_t shift : {0, 1}) {
            const double expected = plain_dot(a.data() + shift, b.data() + shift, width);
            for (const kernels::Set* set : supported_sets()) {
                SCOPED_TRACE(::testing::Message() << set->name << ", width " << width << ", shift " << shift);
                const double dot = set->score->dot(a.data() + shift, b.data() + shift, width);
                const float score = set->score->score(a.data() + shift, b.data() + shift, width, offset);
                EXPECT_EQ(bits(dot), bits(expected));
                EXPECT_EQ(bits(score), bits(static_cast<float>(expected + offset)));
            }
        }
    }
}

TEST(Score, DenormalAndHugeProductsAreExact) {
    const Buffer<float> tiny = matrix(1, 16, [] { return 1e-45f; }), huge = matrix(1, 16, [] { return 3e38f; });
    for (const kernels::Set* set : supported_sets()) {
        SCOPED_TRACE(set->name);
        EXPECT_EQ(set->score->dot(tiny.data(), tiny.data(), 16), 16 * std::pow(static_cast<double>(1e-45f), 2));
        EXPECT_EQ(set->score->dot(huge.data(), huge.data(), 16), 16 * std::pow(static_cast<double>(3e38f), 2));
        EXPECT_EQ(set->score->score(huge.data(), huge.data(), 16, 0), INFINITY);
    }
}

}  // namespace
}  // namespace mcfast::test
