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
    // User 2: hit at rank 2, one relevant item that can be ranked, four in all.
    const std::vector<int64_t> ranked{7, 1, 9, 2, 5, 6, -1, -1, 0, 4, 8, 2}, indptr{0, 3, 3, 4}, n_relevant{3, 1, 4};
    const std::vector<int32_t> relevant{3, 7, 9, 4};
    const Lists lists{ranked.data(), 3, 4, indptr.data(), relevant.data(), n_relevant.data()};
    const double second = 1 / std::log2(3.0), third = 0.5;  // discounts; the first is 1
    const std::vector<Measures> got = measure(lists, {1, 3, 10}, 2);
    ASSERT_EQ(got.size(), 3u);

    EXPECT_DOUBLE_EQ(got[0].recall, 1.0 / 3);
    EXPECT_DOUBLE_EQ(got[0].capped_recall, 1);
    EXPECT_DOUBLE_EQ(got[0].precision, 1);
    EXPECT_DOUBLE_EQ(got[0].ndcg, 1);
    EXPECT_DOUBLE_EQ(got[0].map, 1);
    EXPECT_DOUBLE_EQ(got[0].mrr, 1);
    EXPECT_DOUBLE_EQ(got[0].hit_rate, 1);

    EXPECT_DOUBLE_EQ(got[1].recall, 2.0 / 3 + 1.0 / 4);
    EXPECT_DOUBLE_EQ(got[1].capped_recall, 2.0 / 3 + 1.0 / 3);
    EXPECT_DOUBLE_EQ(got[1].precision, 2.0 / 3 + 1.0 / 3);
    EXPECT_DOUBLE_EQ(got[1].ndcg, (1 + third) / (1 + second + third) + second / (1 + second + third));
    EXPECT_DOUBLE_EQ(got[1].map, (1 + 2.0 / 3) / 3 + (1.0 / 2) / 3);
    EXPECT_DOUBLE_EQ(got[1].mrr, 1 + 1.0 / 2);
    EXPECT_DOUBLE_EQ(got[1].hit_rate, 2);

    // Lists end before the cut: precision still divides by 10, the ideal of NDCG by what is relevant.
    EXPECT_DOUBLE_EQ(got[2].precision, 2.0 / 10 + 1.0 / 10);
    EXPECT_DOUBLE_EQ(got[2].recall, got[1].recall);
    EXPECT_DOUBLE_EQ(got[2].ndcg,
                     (1 + third) / (1 + second + third) + second / (1 + second + third + 1 / std::log2(5.0)));
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
        n_relevant.push_back(std::max<int64_t>(1, indptr.back() - indptr[indptr.size() - 2]));
    }
    const Lists lists{ranked.data(), n, length, indptr.data(), relevant.data(), n_relevant.data()};
    const Measures one = measure(lists, {3}, 1)[0];
    EXPECT_GT(one.ndcg, 0);
    for (const int threads : {2, 3, 7}) {
        const Measures many = measure(lists, {3}, threads)[0];
        EXPECT_EQ(bits(many.ndcg), bits(one.ndcg));
        EXPECT_EQ(bits(many.map), bits(one.map));
        EXPECT_EQ(bits(many.recall), bits(one.recall));
    }
}

}  // namespace
}  // namespace mcfast::test
