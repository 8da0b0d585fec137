#include "train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "support.h"
#include "train/denormals.h"

namespace mcfast::test {
namespace {

using train::Options;
using train::Trainer;

const auto no_poll = [](int64_t) {};

// A planted problem: mean, biases, an inner product of 3 factors, and some noise.
struct Planted {
    std::vector<int32_t> users, items;
    std::vector<float> scores;
    int32_t n_users = 120, n_items = 90;

    explicit Planted(int64_t n = 6000) {
        Random random(1);
        const Buffer<float> a = matrix(n_users, 4, [&] { return uniform(random); });
        const Buffer<float> b = matrix(n_items, 4, [&] { return uniform(random); });
        for (int64_t i = 0; i < n; ++i) {
            users.push_back(static_cast<int32_t>(integer(random, 0, n_users - 1)));
            items.push_back(static_cast<int32_t>(integer(random, 0, n_items - 1)));
            const float *u = a.data() + users.back() * 16, *v = b.data() + items.back() * 16;
            scores.push_back(3 + u[3] + v[3] + 2 * (u[0] * v[0] + u[1] * v[1] + u[2] * v[2]) + 0.1f * uniform(random));
        }
    }
    train::Triples triples() const {
        return {users.data(), items.data(), scores.data(), static_cast<int64_t>(users.size()), n_users, n_items};
    }
};

struct Exported {
    std::vector<float> users, items, user_biases, item_biases;
    bool operator==(const Exported& o) const {
        return users == o.users && items == o.items && user_biases == o.user_biases && item_biases == o.item_biases;
    }
};

Exported exported(const Trainer& trainer, const Planted& data, int threads = 1) {
    const auto user_rows = static_cast<size_t>(data.n_users), item_rows = static_cast<size_t>(data.n_items);
    const auto width = static_cast<size_t>(trainer.width());
    Exported out{std::vector<float>(user_rows * width), std::vector<float>(item_rows * width),
                 std::vector<float>(user_rows), std::vector<float>(item_rows)};
    trainer.export_users({out.users.data(), out.user_biases.data()}, threads);
    trainer.export_items({out.items.data(), out.item_biases.data()}, threads);
    return out;
}

Options options(int64_t factors, bool biases, int threads = 1) {
    Options out;
    out.factors = factors;
    out.biases = biases;
    out.blocks = {7, 5};
    out.threads = threads;
    out.seed = 3;
    return out;
}

TEST(Trainer, SameBitsForEveryNumberOfThreads) {
    const Planted data;
    for (const kernels::Set* set : supported_sets()) {
        const UseSet use(set);
        for (const int64_t factors : {5, 16, 64})
            for (const bool biases : {false, true}) {
                SCOPED_TRACE(::testing::Message() << set->name << ", factors " << factors << ", biases " << biases);
                std::vector<double> losses, errors;
                std::vector<Exported> states;
                for (const int threads : {1, 2, 3, 7}) {
                    Trainer trainer(data.triples(), options(factors, biases, threads));
                    double loss = 0;
                    for (uint32_t epoch = 1; epoch <= 3; ++epoch) loss = trainer.epoch(epoch, 0.1f, threads, no_poll);
                    losses.push_back(loss);
                    errors.push_back(trainer.squared_error(data.triples(), threads));
                    states.push_back(exported(trainer, data, threads));
                    EXPECT_EQ(bits(losses.back()), bits(losses.front()));
                    EXPECT_EQ(bits(errors.back()), bits(errors.front()));
                    EXPECT_TRUE(states.back() == states.front());
                }
            }
    }
}

TEST(Trainer, SameBitsForEveryLossAndEveryOption) {
    Planted data;
    std::vector<float> weights;
    for (size_t i = 0; i < data.scores.size(); ++i) {
        weights.push_back(1 + static_cast<float>(i % 3));
        data.scores[i] = data.scores[i] > 3 ? 1 : 0;  // fit for every loss
    }
    for (const kernels::Set* set : supported_sets()) {
        const UseSet use(set);
        for (int loss = 0; loss <= static_cast<int>(kernels::Loss::hinge); ++loss)
            for (const bool plain : {true, false}) {
                SCOPED_TRACE(::testing::Message() << set->name << ", loss " << loss << ", plain " << plain);
                std::vector<double> losses;
                std::vector<Exported> states;
                for (const int threads : {1, 2, 3, 7}) {
                    Options o = options(20, true, threads);
                    o.loss = static_cast<kernels::Loss>(loss);
                    train::Triples triples = data.triples();
                    if (!plain) {
                        triples.weights = weights.data();
                        o.user_l1 = o.item_l1 = 0.001f;
                        o.by_row = o.nonnegative = true;
                    }
                    Trainer trainer(triples, o);
                    double value = 0;
                    for (uint32_t epoch = 1; epoch <= 2; ++epoch) value = trainer.epoch(epoch, 0.1f, threads, no_poll);
                    losses.push_back(value + trainer.loss(data.triples(), threads));
                    EXPECT_TRUE(std::isfinite(losses.back()));
                    states.push_back(exported(trainer, data, threads));
                    EXPECT_EQ(bits(losses.back()), bits(losses.front()));
                    EXPECT_TRUE(states.back() == states.front());
                    if (!plain) {
                        EXPECT_GE(*std::min_element(states.back().users.begin(), states.back().users.end()), 0);
                    }
                }
            }
    }
}

TEST(Trainer, LossFallsToTheNoise) {
    const Planted data;
    for (const bool biases : {false, true}) {
        Options o = options(8, biases);
        o.user_l2 = o.item_l2 = o.bias_l2 = 0.01f;
        Trainer trainer(data.triples(), o);
        const double before = trainer.squared_error(data.triples(), 1) / 6000;
        double first = 0, last = 0;
        for (uint32_t epoch = 1; epoch <= 40; ++epoch) {
            last = trainer.epoch(epoch, 0.2f, 2, no_poll);
            if (epoch == 1) first = last;
        }
        EXPECT_LT(last, 0.1 * first);
        const double after = trainer.squared_error(data.triples(), 1) / 6000;
        EXPECT_LT(after, 0.05 * before);
        EXPECT_NEAR(2 * last, after, 0.5 * after);  // the loss is half the square, each before its own step
    }
}

// squared_error speaks of what export gives: mean + biases + inner product.
TEST(Trainer, ExportedRowsGiveTheSquaredError) {
    const Planted data(2000);
    for (const bool biases : {false, true}) {
        Trainer trainer(data.triples(), options(5, biases));
        trainer.epoch(1, 0.1f, 1, no_poll);
        const Exported rows = exported(trainer, data);
        double sum = 0;
        for (size_t i = 0; i < data.users.size(); ++i) {
            const auto u = static_cast<size_t>(data.users[i]), v = static_cast<size_t>(data.items[i]);
            const double prediction = trainer.mean() + rows.user_biases[u] + rows.item_biases[v] +
                                      plain_dot(&rows.users[u * 16], &rows.items[v * 16], 16);
            sum += std::pow(data.scores[i] - prediction, 2);
        }
        EXPECT_NEAR(trainer.squared_error(data.triples(), 1), sum, 1e-4 * sum);
        EXPECT_EQ(trainer.mean() == 0, !biases);
    }
}

TEST(Trainer, DivergenceIsNaNAndCheckpointBringsBack) {
    const Planted data(2000);
    Trainer trainer(data.triples(), options(8, true));
    trainer.epoch(1, 0.1f, 2, no_poll);
    trainer.checkpoint(2);
    const Exported good = exported(trainer, data);
    EXPECT_TRUE(std::isnan(trainer.epoch(2, 1e30f, 2, no_poll)));
    trainer.restore(2);
    EXPECT_TRUE(exported(trainer, data) == good);
    EXPECT_TRUE(std::isfinite(trainer.epoch(2, 0.1f, 2, no_poll)));
}

TEST(Trainer, ImportedRowsComeBack) {
    const Planted data(2000);
    Trainer from(data.triples(), options(5, true)), to(data.triples(), options(5, true));
    from.epoch(1, 0.1f, 1, no_poll);
    const Exported rows = exported(from, data);
    std::vector<int32_t> all(static_cast<size_t>(data.n_users));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
    to.import_users(all.data(), data.n_users, rows.users.data(), 16, rows.user_biases.data());
    to.import_items(all.data(), data.n_items, rows.items.data(), 16, rows.item_biases.data());
    const Exported got = exported(to, data);
    for (size_t i = 0; i < rows.users.size(); ++i) EXPECT_NEAR(got.users[i], rows.users[i], 1e-6);
    for (size_t i = 0; i < rows.items.size(); ++i) EXPECT_NEAR(got.items[i], rows.items[i], 1e-6);
    for (size_t i = 0; i < all.size(); ++i) EXPECT_NEAR(got.user_biases[i], rows.user_biases[i], 1e-6);
}

TEST(Trainer, DegenerateProblems) {
    const int32_t zeros[3] = {0, 0, 0};
    const float constant[3] = {2, 2, 2};
    for (const int64_t n : {1, 3}) {
        Trainer trainer({zeros, zeros, constant, n, 1, 1}, {});
        for (uint32_t epoch = 1; epoch <= 3; ++epoch)
            EXPECT_TRUE(std::isfinite(trainer.epoch(epoch, 0.1f, 3, no_poll)));
    }
}

TEST(Trainer, ExceptionOfPollComesOut) {
    const Planted data(2'000'000);  // enough for a tenth of a second
    Trainer trainer(data.triples(), options(1024, true));
    const auto poll = [](int64_t done) {
        EXPECT_GT(done, 0);
        throw std::runtime_error("stop");
    };
    EXPECT_THROW(trainer.epoch(1, 0.1f, 1, poll), std::runtime_error);
}

// Volatile, so that the product is taken by the processor and not by the compiler.
float denormal() {
    volatile float small = 1e-30f, factor = 1e-10f;
    return small * factor;
}

TEST(Trainer, FlushToZeroEndsWithTheEpoch) {
    {
        const train::FlushDenormals flush;
        EXPECT_EQ(denormal(), 0);
    }
    EXPECT_GT(denormal(), 0);
    const Planted data(500);
    Trainer trainer(data.triples(), options(8, true));
    for (const int threads : {1, 2}) trainer.epoch(1, 0.1f, threads, no_poll);
    EXPECT_GT(denormal(), 0);
}

TEST(Side, IsFiniteOnlyIfEveryStateIs) {
    const int32_t position = 0;
    const int64_t count = 1;
    for (float kernels::RowState::*part :
         {&kernels::RowState::factor_step, &kernels::RowState::bias_step, &kernels::RowState::bias})
        for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
            train::Side side(1, 16);
            side.initialise(&position, &count, 4, 0, 1, false, 0, Stream::user_factors, 1);
            EXPECT_TRUE(side.finite(1));
            side.states[0].*part = bad;
            EXPECT_FALSE(side.finite(1));
        }
}

}  // namespace
}  // namespace mcfast::test
