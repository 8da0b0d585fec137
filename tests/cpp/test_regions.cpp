#include "recall/regions.h"

#include <gtest/gtest.h>

#include <limits>

#include "recall/exact.h"
#include "support.h"

namespace mcfast::test {
namespace {

using recall::Answers;
using recall::Cut;
using recall::Items;
using recall::Metric;

struct Found {
    std::vector<int64_t> rows, counts;
    std::vector<float> scores;

    Found(int64_t n_queries, int64_t k)
        : rows(static_cast<size_t>(n_queries * k)), counts(static_cast<size_t>(n_queries)), scores(rows.size()) {}
};

// However the items are cut, an infinite reach finds what the exact search finds.
TEST(Regions, AnInfiniteReachIsExact) {
    Random random(3);
    const int64_t n = 3000, width = 32, n_queries = 9, k = 20;
    const Buffer<float> rows = matrix(n, 20, [&] { return uniform(random); });
    const Buffer<float> queries = matrix(n_queries, 20, [&] { return uniform(random); });
    std::vector<float> offsets;
    for (int64_t i = 0; i < n; ++i) offsets.push_back(uniform(random));
    for (const Metric metric : {Metric::ip, Metric::l2})
        for (const int64_t centres : {1, 17, 3000}) {
            SCOPED_TRACE(centres);
            const Items items{rows.data(), n, width, metric == Metric::ip ? offsets.data() : nullptr, metric};
            const Cut cut = recall::cut(items, queries.data(), n_queries, centres, 1, 2);
            std::vector<int> seen(static_cast<size_t>(n));
            for (const int32_t row : cut.order) ++seen[static_cast<size_t>(row)];
            for (const int times : seen) EXPECT_EQ(times, 1);
            const recall::Regions index(items, cut.order.data(), cut.regions, cut.directions.data(), 2);
            const recall::Exact exact(items, 1);
            Found ours(n_queries, k), truth(n_queries, k);
            exact.search(queries.data(), n_queries, k, {}, 1, truth.rows.data(), truth.scores.data(),
                         truth.counts.data());
            index.search(queries.data(), n_queries, k, {}, std::numeric_limits<double>::infinity(), 3,
                         {k, ours.rows.data(), ours.scores.data(), ours.counts.data()});
            EXPECT_EQ(ours.rows, truth.rows);
            EXPECT_EQ(ours.scores, truth.scores);
            EXPECT_EQ(ours.counts, truth.counts);
        }
}

}  // namespace
}  // namespace mcfast::test
