#include "train/grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "support.h"

namespace mcfast::test {
namespace {

using train::Axis;
using train::Grid;
using train::Shape;

// Triples whose score is their index; popular rows have low numbers.
struct Data {
    std::vector<int32_t> users, items;
    std::vector<float> scores, weights;
    int32_t n_users, n_items;

    Data(int64_t n, int32_t n_users, int32_t n_items) : n_users(n_users), n_items(n_items) {
        Random random(1);
        for (int64_t i = 0; i < n; ++i) {
            users.push_back(row(random, n_users));
            items.push_back(row(random, n_items));
            scores.push_back(static_cast<float>(i));
        }
    }
    train::Triples triples() const {
        return {users.data(),
                items.data(),
                scores.data(),
                static_cast<int64_t>(users.size()),
                n_users,
                n_items,
                weights.empty() ? nullptr : weights.data()};
    }

private:
    static int32_t row(Random& random, int32_t n) {
        return std::min(n - 1, static_cast<int32_t>(static_cast<double>(n) * std::pow(uniform(random, 0, 1), 3)));
    }
};

std::vector<int32_t> rows_by_place(const Axis& axis) {
    std::vector<int32_t> rows(axis.position.size(), -1);
    for (size_t r = 0; r < rows.size(); ++r) rows[static_cast<size_t>(axis.position[r])] = static_cast<int32_t>(r);
    EXPECT_EQ(std::count(rows.begin(), rows.end(), -1), 0) << "positions are no permutation";
    return rows;
}

void check_axis(const Axis& axis, int32_t n_rows, int64_t wanted) {
    EXPECT_EQ(axis.cuts.front(), 0);
    EXPECT_EQ(axis.cuts.back(), n_rows);
    for (size_t s = 0; s + 1 < axis.cuts.size(); ++s) {
        EXPECT_LT(axis.cuts[s], axis.cuts[s + 1]);
        EXPECT_LE(axis.cuts[s + 1] - axis.cuts[s], train::max_stripe_rows);
    }
    EXPECT_LE(axis.stripes(), std::max(wanted, n_rows / train::max_stripe_rows + wanted));
}

// Every triple stands once, in the block of its rows.
void check(const Data& data, Shape shape, int threads) {
    SCOPED_TRACE(::testing::Message() << data.users.size() << " triples, " << data.n_users << " x " << data.n_items
                                      << ", stripes " << shape.user_stripes << " x " << shape.item_stripes << ", "
                                      << threads << " threads");
    Grid grid(data.triples(), shape, 0, 1, threads);
    check_axis(grid.users(), data.n_users, shape.user_stripes);
    check_axis(grid.items(), data.n_items, shape.item_stripes);
    const auto users = rows_by_place(grid.users()), items = rows_by_place(grid.items());
    std::vector<int> seen(data.users.size());
    ASSERT_EQ(grid.n_samples(), static_cast<int64_t>(seen.size()));
    for (int32_t u = 0; u < grid.users().stripes(); ++u)
        for (int32_t c = 0; c < grid.items().stripes(); ++c) {
            const auto of_user = static_cast<size_t>(grid.users().cuts[static_cast<size_t>(u)]);
            const auto of_item = static_cast<size_t>(grid.items().cuts[static_cast<size_t>(c)]);
            const int64_t b = grid.block(u, c);
            int64_t n = 0;
            grid.steps(b).for_each([&](uint16_t user, uint16_t item, float score, float weight) {
                const auto i = static_cast<size_t>(score);
                ++seen[i];
                ++n;
                EXPECT_EQ(users[of_user + user], data.users[i]);
                EXPECT_EQ(items[of_item + item], data.items[i]);
                EXPECT_EQ(weight, data.weights.empty() ? 1 : data.weights[i]);
            });
            EXPECT_EQ(n, grid.size(b));
        }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<int64_t>(seen.size()));
}

TEST(Grid, EveryTripleOnceInItsBlock) {
    for (const int threads : {1, 2, 7}) {
        check(Data(5000, 300, 200), {7, 5}, threads);
        check(Data(3, 2, 2), {64, 32}, threads);
        check(Data(200, 1, 50), {8, 8}, threads);
        check(Data(200, 50, 1), {8, 8}, threads);
        check(Data(1, 1, 1), {1, 1}, threads);
        check(Data(300, 20, 10), {1, 1}, threads);
    }
}

TEST(Grid, WeightsStayWithTheirTriples) {
    Data data(5000, 300, 200);
    for (size_t i = 0; i < data.users.size(); ++i) data.weights.push_back(static_cast<float>(i % 13));
    check(data, {7, 5}, 2);
}

TEST(Grid, StripesHaveAtMost65535Rows) {
    const Data data(40000, 150000, 70000);
    check(data, {1, 1}, 2);
    Grid grid(data.triples(), {1, 1}, 0, 1, 1);
    EXPECT_EQ(grid.users().stripes(), 3);
    EXPECT_EQ(grid.items().stripes(), 2);
}

TEST(Grid, RowsWithoutTriplesMakeNoStripeOfTheirOwn) {
    const Data few(10, 4, 4);
    for (const int32_t n : {50, 1000}) {
        train::Triples triples = few.triples();
        triples.n_users = triples.n_items = n;
        Grid grid(triples, {1, 3}, 0, 1, 1);
        EXPECT_EQ(grid.users().stripes(), 1);
        EXPECT_LE(grid.items().stripes(), 3);
    }
}

TEST(Grid, CountsRepeatedPairs) {
    Data data(5000, 3000, 200);
    std::set<std::pair<int32_t, int32_t>> pairs;
    for (size_t i = 0; i < data.users.size(); ++i) pairs.emplace(data.users[i], data.items[i]);
    for (const int threads : {1, 2, 7}) {
        EXPECT_EQ(Grid(data.triples(), {7, 5}, 0, 1, threads).repeated(), 5000 - static_cast<int64_t>(pairs.size()));
        EXPECT_EQ(Grid(data.triples(), {1, 1}, 0, 1, threads).repeated(), 5000 - static_cast<int64_t>(pairs.size()));
    }
}

// The samples of a block are the same before and after it is laid out, in any order.
TEST(Grid, LooseBlocksHoldWhatIsLaidOut) {
    Data data(5000, 300, 200);
    for (size_t i = 0; i < data.users.size(); ++i) data.weights.push_back(static_cast<float>(i % 13));
    Grid grid(data.triples(), {7, 5}, 0, 1, 2);
    for (int64_t b = 0; b < grid.n_blocks(); ++b) {
        const auto samples = [&] {
            std::vector<std::array<float, 4>> out;
            grid.for_each(b, [&](uint16_t user, uint16_t item, float score, float weight) {
                out.push_back({static_cast<float>(user), static_cast<float>(item), score, weight});
            });
            std::sort(out.begin(), out.end());
            return out;
        };
        const auto loose = samples();
        EXPECT_EQ(static_cast<int64_t>(loose.size()), grid.size(b));
        grid.steps(b);
        EXPECT_EQ(samples(), loose);
    }
}

TEST(Grid, StripesAreBalanced) {
    const Data data(100000, 5000, 3000);
    Grid grid(data.triples(), {16, 8}, 0, 1, 1);
    EXPECT_EQ(grid.users().stripes(), 16);
    EXPECT_EQ(grid.items().stripes(), 8);
    std::vector<int64_t> of_user(5000);
    for (const int32_t u : data.users) ++of_user[static_cast<size_t>(u)];
    const int64_t largest_row = *std::max_element(of_user.begin(), of_user.end());
    for (int32_t u = 0; u < 16; ++u) {
        int64_t size = 0;
        for (int32_t c = 0; c < 8; ++c) size += grid.size(grid.block(u, c));
        EXPECT_NEAR(static_cast<double>(size), 100000.0 / 16, static_cast<double>(largest_row));
    }
}

// Half of all triples are of one item; the stripes of the others are as even as before.
TEST(Grid, AHeavyRowStarvesNoStripe) {
    Data data(50000, 500, 1000);
    for (size_t i = 0; i < data.items.size(); ++i) data.items[i] = i % 2 ? 17 : static_cast<int32_t>(i / 2 % 1000);
    Grid grid(data.triples(), {1, 16}, 0, 1, 1);
    ASSERT_EQ(grid.items().stripes(), 16);
    std::vector<int64_t> sizes;
    for (int32_t c = 0; c < 16; ++c) sizes.push_back(grid.size(grid.block(0, c)));
    std::sort(sizes.begin(), sizes.end());
    EXPECT_GE(sizes[15], 25000);
    EXPECT_GE(sizes[1], 1000);
    EXPECT_LE(sizes[14], 3 * sizes[1]);
}

TEST(Grid, ItemStripesFitTheCache) {
    const Data data(40000, 100, 5000);
    const Shape shape = train::default_shape(40000, 100, 5000, 1024);
    Grid grid(data.triples(), shape, 0, 1, 1);
    for (int32_t c = 0; c < grid.items().stripes(); ++c)
        EXPECT_LE((grid.items().cuts[static_cast<size_t>(c) + 1] - grid.items().cuts[static_cast<size_t>(c)]) * 4096,
                  512 << 10);
}

TEST(Grid, ScoresAreCentredAndScaled) {
    const Data data(100, 10, 10);
    Grid grid(data.triples(), {1, 1}, 50, 4, 1);
    std::vector<float> scores;
    grid.steps(0).for_each([&](uint16_t, uint16_t, float score, float) { scores.push_back(score); });
    std::sort(scores.begin(), scores.end());
    for (int i = 0; i < 100; ++i) EXPECT_EQ(scores[static_cast<size_t>(i)], (static_cast<float>(i) - 50) / 4);
}

TEST(Grid, DefaultShape) {
    const auto shape = [](int64_t n, int64_t users, int64_t items, int64_t width) {
        const Shape s = train::default_shape(n, users, items, width);
        return std::pair(s.user_stripes, s.item_stripes);
    };
    EXPECT_EQ(shape(18'000'000, 138'000, 27'000, 64), std::pair(int64_t{64}, int64_t{32}));
    EXPECT_EQ(shape(1, 1, 1, 16), std::pair(int64_t{1}, int64_t{1}));
    EXPECT_EQ(shape(18'000'000, 1, 27'000, 64).first, 1);
    EXPECT_EQ(shape(18'000'000, 138'000, 1, 64).second, 1);
    const auto few = shape(90'000, 943, 1682, 64);
    EXPECT_GE(90'000 / (few.first * few.second), 8000);
    const auto many_items = shape(20'000'000, 100'000, 1'000'000, 128);
    EXPECT_LE(1'000'000 / many_items.second * 512, 512 << 10);
    EXPECT_GE(many_items.first, 16);
}

}  // namespace
}  // namespace mcfast::test
