#include "evaluate/ranking.h"

#include <gtest/gtest.h>

#include "support.h"

namespace mcfast::test {
namespace {

using evaluate::Lists;
using evaluate::measure;
using evaluate::Measures;

TEST(Ranking, HandComputed) {
    // User 0: hits at ranks 1 and 3 of relevant {3, 7, 9}. User 1: a short list, its only relevant item unknown.
    // User 2: hit at rank 2, one relevant item that can be ranked, four in all. User 3: nothing relevant.
    const std::vector<int64_t> ranked{7, 1, 9, 2, 5, 6, -1, -1, 0, 4, 8, 2, 0, 1, 2, 3};
    const std::vector<int64_t> indptr{0, 3, 3, 4, 4}, n_relevant{3, 1, 4, 0};
    const std::vector<int32_t> relevant{3, 7, 9, 4};
    const Lists lists{ranked.data(), 4, 4, indptr.data(), relevant.data(), n_relevant.data()};
    const double second = 1 / std::log2(3.0), third = 0.5;  // discounts; the first is 1
    Measures got[4][3];
    measure(lists, {1, 3, 10}, got[0], 2);

    EXPECT_DOUBLE_EQ(got[0][0].recall, 1.0 / 3);
    EXPECT_DOUBLE_EQ(got[0][0].capped_recall, 1);
    EXPECT_DOUBLE_EQ(got[0][0].precision, 1);
    EXPECT_DOUBLE_EQ(got[0][0].ndcg, 1);
    EXPECT_DOUBLE_EQ(got[0][0].map, 1);
    EXPECT_DOUBLE_EQ(got[0][0].mrr, 1);
    EXPECT_DOUBLE_EQ(got[0][0].hit_rate, 1);

    EXPECT_DOUBLE_EQ(got[0][1].recall, 2.0 / 3);
    EXPECT_DOUBLE_EQ(got[0][1].capped_recall, 2.0 / 3);
    EXPECT_DOUBLE_EQ(got[0][1].precision, 2.0 / 3);
    EXPECT_DOUBLE_EQ(got[0][1].ndcg, (1 + third) / (1 + second + third));
    EXPECT_DOUBLE_EQ(got[0][1].map, (1 + 2.0 / 3) / 3);
    EXPECT_DOUBLE_EQ(got[0][1].mrr, 1);

    EXPECT_EQ(got[1][2].recall, 0);
    EXPECT_EQ(got[1][2].ndcg, 0);
    EXPECT_EQ(got[1][2].hit_rate, 0);

    EXPECT_EQ(got[2][0].hit_rate, 0);
    EXPECT_DOUBLE_EQ(got[2][1].recall, 1.0 / 4);
    EXPECT_DOUBLE_EQ(got[2][1].capped_recall, 1.0 / 3);
    EXPECT_DOUBLE_EQ(got[2][1].ndcg, second / (1 + second + third));
    EXPECT_DOUBLE_EQ(got[2][1].map, (1.0 / 2) / 3);
    EXPECT_DOUBLE_EQ(got[2][1].mrr, 1.0 / 2);

    // Lists end before the cut: precision still divides by 10, the ideal of NDCG by what is relevant.
    EXPECT_DOUBLE_EQ(got[0][2].precision, 2.0 / 10);
    EXPECT_DOUBLE_EQ(got[2][2].precision, 1.0 / 10);
    EXPECT_DOUBLE_EQ(got[0][2].ndcg, got[0][1].ndcg);
    EXPECT_DOUBLE_EQ(got[2][2].ndcg, second / (1 + second + third + 1 / std::log2(5.0)));

    for (const Measures& none : got[3]) {
        EXPECT_TRUE(std::isnan(none.recall));
        EXPECT_TRUE(std::isnan(none.ndcg));
        EXPECT_TRUE(std::isnan(none.hit_rate));
    }
}

TEST(Ranking, SameBitsForEveryNumberOfThreads) {
    Random random(1);
    constexpr int64_t n = 10000, length = 5;
    std::vector<int64_t> ranked, indptr{0}, n_relevant;
    std::vector<int32_t> relevant;
    for (int64_t u = 0; u < n; ++u) {
        for (int64_t i = 0; i < length; ++i) ranked.push_back(length * integer(random, 0, 9) + i);
        for (int32_t i = 0; i < 50; ++i)
            if (integer(random, 0, 4) == 0) relevant.push_back(i);
        indptr.push_back(static_cast<int64_t>(relevant.size()));
        n_relevant.push_back(indptr.back() - indptr[indptr.size() - 2]);
    }
    const Lists lists{ranked.data(), n, length, indptr.data(), relevant.data(), n_relevant.data()};
    std::vector<Measures> one(n), many(n);
    measure(lists, {3}, one.data(), 1);
    for (const int threads : {2, 3, 7}) {
        measure(lists, {3}, many.data(), threads);
        EXPECT_EQ(std::memcmp(many.data(), one.data(), n * sizeof(Measures)), 0);
    }
}

}  // namespace
}  // namespace mcfast::test
