// The kernel of one block against the same steps in plain double precision.
#include <gtest/gtest.h>

#include "plain_sgd.h"
#include "support.h"

namespace mcfast::test {
namespace {

using kernels::RowState;
using kernels::Sample;
using kernels::Step;

constexpr int64_t n_users = 7, n_items = 5;

// One side of a block for the kernel, and the rows it starts from.
struct Side {
    std::vector<PlainRow> rows;
    Buffer<float> factors;
    std::vector<RowState> states;

    Side(Random& random, int64_t n, const Step& s)
        : factors(matrix(n, s.factors, [&] { return uniform(random) / std::sqrt(static_cast<float>(s.factors)); })) {
        for (int64_t r = 0; r < n; ++r) {
            const float bias = s.bias_learning_rate > 0 ? uniform(random) : 0;
            states.push_back({1, 1, bias, 0});
            rows.push_back({{factors.data() + r * s.width, factors.data() + r * s.width + s.factors}, bias});
        }
    }

    void expect_near(const Step& s, double tolerance) const {
        for (size_t r = 0; r < rows.size(); ++r) {
            const float* const got = factors.data() + static_cast<int64_t>(r) * s.width;
            for (int64_t k = 0; k < s.width; ++k)
                EXPECT_NEAR(got[k], k < s.factors ? rows[r].factors[static_cast<size_t>(k)] : 0, tolerance);
            EXPECT_NEAR(states[r].bias, rows[r].bias, tolerance);
            EXPECT_NEAR(states[r].factor_step, rows[r].factor_step, tolerance * rows[r].factor_step);
            EXPECT_NEAR(states[r].bias_step, rows[r].bias_step, tolerance * rows[r].bias_step);
        }
    }
};

void check(const kernels::Set& set, int64_t factors, float bias_learning_rate) {
    SCOPED_TRACE(::testing::Message() << set.name << ", factors " << factors << ", biases "
                                      << (bias_learning_rate > 0));
    Random random(static_cast<uint64_t>(factors));
    const Step step{factors, kernels::padded(factors), 0.1f, bias_learning_rate, 0.05f};
    Side users(random, n_users, step), items(random, n_items, step);
    std::vector<Sample> samples;
    for (uint16_t u = 0; u < n_users; ++u)
        for (int i = 0; i < 12; ++i)
            samples.push_back({u, static_cast<uint16_t>(integer(random, 0, n_items - 1)), uniform(random, -2, 2)});
    const double expected = plain_block(samples, users.rows, items.rows, step);
    const double loss = set.sgd->block(kernels::Loss::squared, step.width)(
        {samples.data(), static_cast<int64_t>(samples.size()), users.factors.data(), items.factors.data(),
         users.states.data(), items.states.data()},
        step);
    EXPECT_NEAR(loss, expected, 1e-5 * expected);
    users.expect_near(step, 2e-5);
    items.expect_near(step, 2e-5);
}

TEST(Sgd, EveryWidthAgainstPlainSteps) {
    for (const kernels::Set* set : supported_sets()) {
        for (int64_t factors = 1; factors <= 130; ++factors)
            for (const float bias_learning_rate : {0.0f, 0.1f}) check(*set, factors, bias_learning_rate);
        for (const int64_t factors : {200, 1000, 1024}) check(*set, factors, 0.1f);
    }
}

TEST(Sgd, EmptyBlockChangesNothing) {
    for (const kernels::Set* set : supported_sets()) {
        const Step step{16, 16, 0.1f, 0.1f, 0.05f};
        EXPECT_EQ(set->sgd->block(kernels::Loss::squared, 16)({}, step), 0);
    }
}

// The sums take the gradient's square from three products; where they cancel, rounding must not make a sum fall.
TEST(Sgd, SumsOfAdaGradNeverFall) {
    Random random(1);
    for (const kernels::Set* set : supported_sets())
        for (int i = 0; i < 2000; ++i) {
            const Step step{1, 16, 0.1f, 0, 1};
            const float error = uniform(random, 1, 3);
            Buffer<float> q = matrix(1, 1, [&] { return uniform(random, 0.1f, 1); });
            Buffer<float> p = matrix(1, 1, [&] { return error * q[0]; });  // the user's gradient is 0
            RowState user{1, 1, 0, 0}, item{1, 1, 0, 0};
            const Sample sample{0, 0, error + p[0] * q[0]};
            set->sgd->block(kernels::Loss::squared, 16)({&sample, 1, p.data(), q.data(), &user, &item}, step);
            ASSERT_GE(user.factor_step, 1) << set->name;
            ASSERT_GE(item.factor_step, 1) << set->name;
        }
}

}  // namespace
}  // namespace mcfast::test
