// Every registered loss against finite differences. A loss is compiled inside a set's namespace: this file has its own.
#define MCFAST_SET tests
#include "kernels/simd.h"

#include <gtest/gtest.h>

#include "kernels/losses/squared.h"
#include "support.h"

namespace mcfast::test {
namespace {

template <class LossFn>
void check() {
    constexpr float h = 0x1p-8f;
    for (float score = -4; score <= 4; score += 0.5f)
        for (float prediction = -4; prediction <= 4; prediction += 0.25f) {
            const double slope =
                (LossFn::value(score, prediction + h) - LossFn::value(score, prediction - h)) / (2 * h);
            EXPECT_NEAR(LossFn::descent(score, prediction), -slope, 1e-4) << score << ", " << prediction;
        }
}

#define MCFAST_TEST_LOSS(name, type) \
    TEST(Losses, name) { check<kernels::MCFAST_SET_NAMESPACE::type>(); }
MCFAST_LOSSES(MCFAST_TEST_LOSS)
#undef MCFAST_TEST_LOSS

TEST(Losses, SquaredIsHalfTheSquare) {
    EXPECT_EQ(kernels::MCFAST_SET_NAMESPACE::Squared::value(3, 1), 2);
    EXPECT_EQ(kernels::MCFAST_SET_NAMESPACE::Squared::descent(3, 1), 2);
}

}  // namespace
}  // namespace mcfast::test
