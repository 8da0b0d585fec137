// Every registered loss in float64 against finite differences, and in the kernel's vectors against float64. A loss is
// compiled inside a set's namespace: this file has its own.
#define MCFAST_SET tests
#include "kernels/exponential.h"

#include <gtest/gtest.h>

#include <limits>

#include "support.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {
inline double exp(double x) { return std::exp(x); }
inline double log(double x) { return std::log(x); }
}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE

#include "kernels/losses/absolute.h"
#include "kernels/losses/hinge.h"
#include "kernels/losses/huber.h"
#include "kernels/losses/logistic.h"
#include "kernels/losses/poisson.h"
#include "kernels/losses/squared.h"

namespace mcfast::test {
namespace {

namespace set = kernels::MCFAST_SET_NAMESPACE;
using kernels::Scores;

std::vector<double> some_scores(Scores scores) {
    switch (scores) {
        case Scores::ratings: return {-3.5, -1, 0, 0.25, 4};
        case Scores::labels: return {0, 0.3, 1};
        case Scores::counts: return {0, 1, 17};
        case Scores::signs: return {-1, 1};
    }
    return {};
}

// No prediction is near a kink.
template <class LossFn>
void check(Scores scores) {
    constexpr double h = 1e-6;
    for (const double score : some_scores(scores))
        for (double prediction = -4.031; prediction < 4; prediction += 0.113) {
            const double slope =
                (LossFn::value(score, prediction + h) - LossFn::value(score, prediction - h)) / (2 * h);
            EXPECT_NEAR(LossFn::descent(score, prediction), -slope, 1e-8 * (1 + std::exp(prediction)))
                << score << ", " << prediction;
            const auto s = static_cast<float>(score), p = static_cast<float>(prediction);
            const double value = LossFn::value(double{s}, double{p}), descent = LossFn::descent(double{s}, double{p});
            EXPECT_NEAR(LossFn::value(set::f4{} + s, set::f4{} + p)[2], value, 1e-6 * (1 + std::fabs(value)));
            EXPECT_NEAR(LossFn::descent(set::f4{} + s, set::f4{} + p)[1], descent, 1e-6 * (1 + std::fabs(descent)));
        }
}

#define MCFAST_TEST_LOSS(name, type, scores) \
    TEST(Losses, name) { check<set::type>(Scores::scores); }
MCFAST_LOSSES(MCFAST_TEST_LOSS)
#undef MCFAST_TEST_LOSS

TEST(Losses, SquaredIsHalfTheSquare) {
    EXPECT_EQ(set::Squared::value(3.0, 1.0), 2);
    EXPECT_EQ(set::Squared::descent(3.0, 1.0), 2);
}

TEST(Exponential, IsNearTheLibrary) {
    for (float x = -87; x <= 87; x += 0.037f)
        EXPECT_NEAR(set::exp(set::f4{} + x)[0] / std::exp(double{x}), 1, 3e-7) << x;
    EXPECT_EQ(set::exp(set::f4{})[3], 1);
    EXPECT_TRUE(std::isfinite(set::exp(set::f4{} + 1e30f)[0]));
    EXPECT_GE(set::exp(set::f4{} - 1e30f)[0], 0);
}

TEST(Logarithm, IsNearTheLibrary) {
    for (float x = 1e-30f; x < 1e30f; x *= 1.013f)
        EXPECT_NEAR(set::log(set::f4{} + x)[0], std::log(double{x}), 3e-7 * (1 + std::fabs(std::log(double{x})))) << x;
    EXPECT_EQ(set::log(set::f4{} + 1)[1], 0);
}

}  // namespace
}  // namespace mcfast::test
