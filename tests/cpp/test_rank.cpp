#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "plain_tile.h"
#include "rank/trainer.h"
#include "support.h"

namespace mcfast {
namespace {

using test::Plain;
using test::plain_softmax;
using test::Random;

void expect_near(const Buffer<float>& found, const std::vector<double>& expected) {
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(found[static_cast<int64_t>(i)], expected[i], 2e-5) << i;
}

TEST(Tile, IsThatOfPlainLoopsOnEverySet) {
    Random random(1);
    for (const kernels::Set* set : test::supported_sets())
        for (const auto& [rows, columns, factors] :
             {std::array<int64_t, 3>{1, 1, 1}, {7, 16, 16}, {64, 33, 21}, {65, 300, 48}, {131, 17, 80}}) {
            SCOPED_TRACE(std::string(set->name) + " " + std::to_string(rows) + " " + std::to_string(columns));
            const auto next = [&] { return test::uniform(random); };
            const auto hidden = [&](int64_t r) {
                const auto any = static_cast<int32_t>(test::integer(random, 0, columns - 1));
                return r % 3 == 1 ? std::vector<int32_t>{any} : std::vector<int32_t>{};
            };
            const test::TileProblem p(rows, columns, factors, next, hidden);
            const double loss = set->tile->tile(kernels::RankingLoss::softmax)(p.tile, {0, 1});
            const Plain expected = plain_softmax(p.tile);
            EXPECT_NEAR(loss, expected.loss, 1e-4 * static_cast<double>(rows));
            expect_near(p.of_users, expected.users);
            expect_near(p.of_items, expected.items);
            expect_near(p.of_negatives, expected.negatives);
        }
}

TEST(Contributions, AreInTheOrderOfRowsThenOfPlaces) {
    Random random(2);
    for (const int32_t n_rows : {1, 5, 3000, 5'000'000}) {
        rank::Contributions contributions;
        const int64_t n = 4000;
        std::vector<float> places(n);
        contributions.clear();
        std::map<uint32_t, std::vector<const float*>> expected;
        for (int64_t i = 0; i < n; ++i) {
            const auto row = static_cast<uint32_t>(test::integer(random, 0, n_rows - 1));
            contributions.add({row, true, 1, places.data() + i});
            expected[row].push_back(places.data() + i);
        }
        contributions.sort(n_rows);
        ASSERT_EQ(contributions.groups(), static_cast<int64_t>(expected.size()));
        int64_t group = 0;
        for (const auto& [row, all] : expected) {
            std::vector<const float*> found;
            for (const auto* c = contributions.begin(group); c != contributions.end(group); ++c) {
                EXPECT_EQ(c->row, row);
                found.push_back(c->gradient);
            }
            EXPECT_EQ(found, all);
            ++group;
        }
    }
}

TEST(Alias, GivesEveryItemItsShareOfAllWords) {
    const std::vector<double> weights{3, 0, 1, 0.5, 8, 0, 2};
    const rank::Alias alias(weights);
    std::vector<double> found(weights.size());
    constexpr uint32_t steps = 7 * 512;  // places and tosses on an even grid
    for (uint32_t place = 0; place < steps; ++place)
        for (uint32_t toss = 0; toss < 512; ++toss)
            ++found[static_cast<size_t>(alias.draw((uint32_t{0xffffffff} / steps) * place, toss << 23))];
    for (size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(found[i] / (steps * 512.0), weights[i] / 14.5, 2e-3) << i;
}

TEST(Sampler, CorrectsForDrawingAmongAllItemsButThePositive) {
    rank::Sampling sampling;
    sampling.parts = {{rank::Source::popularity, 10}};
    sampling.exponent = 1;
    sampling.logq = 1;
    sampling.corrected = true;
    const rank::Sampler sampler(sampling, {6, 1, 3}, 1);
    rank::Negatives drawn;
    sampler.draw(1, 0, nullptr, 0, 0, {}, drawn);
    const double q[] = {0.6, 0.1, 0.3};
    for (size_t j = 0; j < drawn.items.size(); ++j)  // of 7 that are left beside item 0
        EXPECT_NEAR(drawn.corrections[j] + sampler.row_correction(0, 7), std::log(7 * q[drawn.items[j]] / (1 - q[0])),
                    1e-6);
}

TEST(RankingTrainer, DoesNotDependOnThreads) {
    Random random(3);
    constexpr int32_t n_users = 300, n_items = 150;
    std::vector<int32_t> users, items;
    for (int32_t i = 0; i < 3000; ++i) {
        users.push_back(static_cast<int32_t>(test::integer(random, 0, n_users - 1)));
        items.push_back(static_cast<int32_t>(test::integer(random, 0, n_items - 1)));
    }
    std::vector<float> first;
    for (const int threads : {1, 2, 3, 7}) {
        rank::Options options;
        options.factors = 24;
        options.cosine = true;
        options.temperature = 0.2;
        options.dropout = 0.1;
        options.learn_temperature = true;
        options.negatives.parts = {
            {rank::Source::uniform, 20}, {rank::Source::popularity, 20}, {rank::Source::hard, 9}};
        options.negatives.logq = 1;
        options.pool = 40;
        options.batch = 1100;
        options.threads = threads;
        rank::Trainer trainer({users.data(), items.data(), 3000, n_users, n_items}, {}, {}, {}, options);
        for (uint32_t epoch = 1; epoch <= 2; ++epoch) trainer.epoch(epoch, 0.1f, threads, [](int64_t) {});
        std::vector<float> rows(trainer.user_table().row(0), trainer.user_table().row(n_users));
        rows.insert(rows.end(), trainer.item_table().row(0), trainer.item_table().row(n_items));
        if (first.empty()) first = rows;
        ASSERT_EQ(std::memcmp(rows.data(), first.data(), rows.size() * sizeof(float)), 0) << threads;
    }
}

}  // namespace
}  // namespace mcfast
