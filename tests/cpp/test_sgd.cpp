// The kernel of one block against the same steps in plain double precision.
#include <gtest/gtest.h>

#include "plain_sgd.h"
#include "support.h"

namespace mcfast::test {
namespace {

using kernels::Loss;
using kernels::RowState;
using kernels::Step;

constexpr int64_t n_users = 19, n_items = 23;  // steps that share rows, and steps that do not

// One side of a block for the kernel, and the rows it starts from.
struct Side {
    std::vector<PlainRow> rows;
    Buffer<float> factors;
    std::vector<RowState> states;

    Side(Random& random, int64_t n, const Step& s)
        : factors(matrix(n, s.factors, [&] {
              const float value = uniform(random) / std::sqrt(static_cast<float>(s.factors));
              return s.nonnegative ? std::fabs(value) : value;
          })) {
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

Step step_of(int64_t factors, float bias_learning_rate = 0.1f) {
    Step s{};
    s.factors = factors;
    s.width = kernels::padded(factors);
    s.learning_rate = 0.1f;
    s.bias_learning_rate = bias_learning_rate;
    s.user_l2 = 0.05f;
    s.item_l2 = 0.02f;
    s.bias_l2 = 0.01f;
    return s;
}

std::vector<Sample> some_samples(Random& random) {
    std::vector<Sample> samples;
    for (uint16_t u = 0; u < n_users; ++u)
        for (int64_t i = 0; i < 1 + 3 * (u % 5); ++i)
            samples.push_back({u, static_cast<uint16_t>(integer(random, 0, n_items - 1)), uniform(random, -2, 2)});
    return samples;
}

void measure(const kernels::Set& set, const kernels::Block& block, const Step& step) {
    set.sgd->measure(block.user_factors, block.user_states, n_users, step.width);
    set.sgd->measure(block.item_factors, block.item_states, n_items, step.width);
}

void train(const kernels::Set& set, Loss loss, bool plain, kernels::Block block, Side& users, Side& items,
           const Step& step, double expected) {
    block.user_factors = users.factors.data();
    block.item_factors = items.factors.data();
    block.user_states = users.states.data();
    block.item_states = items.states.data();
    measure(set, block, step);
    EXPECT_NEAR(set.sgd->block(loss, plain, step.width)(block, step), expected, 2e-5 * std::fabs(expected));
    users.expect_near(step, 3e-5);
    items.expect_near(step, 3e-5);
}

TEST(Sgd, TheSamplesMakeStepsOfBothKinds) {
    Random random(1);
    int32_t overlapping = 0, others = 0;
    const Lockstep data(some_samples(random));
    for (int64_t s = 0; s < data.steps.n_stretches; ++s) {
        overlapping += data.steps.stretches[s].overlapping;
        others += data.steps.stretches[s].others;
    }
    EXPECT_GE(overlapping, 10);
    EXPECT_GE(others, 2);
}

void check(const kernels::Set& set, int64_t factors, float bias_learning_rate, bool plain) {
    SCOPED_TRACE(::testing::Message() << set.name << ", factors " << factors << ", biases " << (bias_learning_rate > 0)
                                      << ", plain " << plain);
    Random random(static_cast<uint64_t>(factors));
    const Step step = step_of(factors, bias_learning_rate);
    Side users(random, n_users, step), items(random, n_items, step);
    const Lockstep data(some_samples(random));
    const double expected = plain_block(data.samples, users.rows, items.rows, step, plain_squared);
    train(set, Loss::squared, plain, data.block(), users, items, step, expected);
}

TEST(Sgd, EveryWidthAgainstPlainSteps) {
    for (const kernels::Set* set : supported_sets())
        for (const bool plain : {true, false}) {
            for (int64_t factors = 1; factors <= 130; ++factors)
                for (const float bias_learning_rate : {0.0f, 0.1f}) check(*set, factors, bias_learning_rate, plain);
            for (const int64_t factors : {200, 1000, 1024}) check(*set, factors, 0.1f, plain);
        }
}

TEST(Sgd, WeightsSharesL1AndTheBoundAtZero) {
    for (const kernels::Set* set : supported_sets())
        for (const bool nonnegative : {false, true})
            for (const int64_t factors : {5, 16, 33}) {
                SCOPED_TRACE(::testing::Message() << set->name << ", " << factors << ", nonnegative " << nonnegative);
                Random random(7);
                Step step = step_of(factors);
                step.user_l1 = 0.03f;
                step.item_l1 = 0.05f;
                step.nonnegative = nonnegative;
                step.offset = 0.5f;
                std::vector<float> user_shares, item_shares;
                for (int64_t u = 0; u < n_users; ++u) user_shares.push_back(uniform(random, 0, 1));
                for (int64_t i = 0; i < n_items; ++i) item_shares.push_back(uniform(random, 0, 1));
                std::vector<Sample> samples = some_samples(random);
                for (Sample& s : samples) {
                    s.weight = uniform(random, 0, 2);
                    s.user_share = user_shares[s.user];
                    s.item_share = item_shares[s.item];
                }
                Side users(random, n_users, step), items(random, n_items, step);
                const Lockstep data(samples);
                const double expected = plain_block(data.samples, users.rows, items.rows, step, plain_squared);
                kernels::Block block = data.block();
                block.weights = data.steps.weights;
                block.user_shares = user_shares.data();
                block.item_shares = item_shares.data();
                train(*set, Loss::squared, false, block, users, items, step, expected);
            }
}

TEST(Sgd, OtherLossesAgainstPlainSteps) {
    const auto logistic = [](double y, double z) {
        return std::pair{std::log1p(std::exp(z)) - y * z, y - 1 / (1 + std::exp(-z))};
    };
    for (const kernels::Set* set : supported_sets())
        for (const bool plain : {true, false}) {
            Random random(3);
            const Step step = step_of(20);
            std::vector<Sample> samples = some_samples(random);
            for (Sample& s : samples) s.score = s.score > 0 ? 1 : 0;
            Side users(random, n_users, step), items(random, n_items, step);
            const Lockstep data(samples);
            const double expected = plain_block(data.samples, users.rows, items.rows, step, logistic);
            train(*set, Loss::logistic, plain, data.block(), users, items, step, expected);
        }
}

// Norms are measured once an epoch and carried through all its steps.
TEST(Sgd, CarriedNormsDoNotDrift) {
    for (const kernels::Set* set : supported_sets()) {
        Random random(5);
        const Step step = step_of(64);
        Side users(random, n_users, step), items(random, n_items, step);
        const Lockstep data(some_samples(random));
        kernels::Block block = data.block();
        block.user_factors = users.factors.data();
        block.item_factors = items.factors.data();
        block.user_states = users.states.data();
        block.item_states = items.states.data();
        measure(*set, block, step);
        for (int epoch = 0; epoch < 100; ++epoch) set->sgd->block(Loss::squared, true, step.width)(block, step);
        for (const Side* side : {&users, &items})
            for (size_t r = 0; r < side->states.size(); ++r) {
                const float* const row = side->factors.data() + static_cast<int64_t>(r) * step.width;
                EXPECT_NEAR(side->states[r].norm / plain_dot(row, row, step.width), 1, 1e-4);
            }
        for (int epoch = 0; epoch < 100; ++epoch)
            plain_block(data.samples, users.rows, items.rows, step, plain_squared);
        users.expect_near(step, 2e-3);
        items.expect_near(step, 2e-3);
    }
}

TEST(Sgd, EmptyBlockChangesNothing) {
    for (const kernels::Set* set : supported_sets())
        EXPECT_EQ(set->sgd->block(Loss::squared, true, 16)({}, step_of(16)), 0);
}

// The sums take the gradient's square from three products; where they cancel, rounding must not make a sum fall.
TEST(Sgd, SumsOfAdaGradNeverFall) {
    Random random(1);
    for (const kernels::Set* set : supported_sets())
        for (int i = 0; i < 2000; ++i) {
            Step step = step_of(1, 0);
            step.user_l2 = step.item_l2 = 1;
            const float error = uniform(random, 1, 3);
            Buffer<float> q = matrix(1, 1, [&] { return uniform(random, 0.1f, 1); });
            Buffer<float> p = matrix(1, 1, [&] { return error * q[0]; });  // the user's gradient is 0
            RowState user{1, 1, 0, p[0] * p[0]}, item{1, 1, 0, q[0] * q[0]};
            const Lockstep data({{0, 0, error + p[0] * q[0]}});
            kernels::Block block = data.block();
            block.user_factors = p.data();
            block.item_factors = q.data();
            block.user_states = &user;
            block.item_states = &item;
            set->sgd->block(Loss::squared, true, step.width)(block, step);
            ASSERT_GE(user.factor_step, 1) << set->name;
            ASSERT_GE(item.factor_step, 1) << set->name;
        }
}

}  // namespace
}  // namespace mcfast::test
