#include <gtest/gtest.h>

#include <limits>

#include "support.h"

namespace mcfast::test {
namespace {

using kernels::Hit;
using kernels::panel_rows;

struct Problem {
    int64_t n_panels, width, n_queries;
    Buffer<float> items, queries, panels;  // items by row; panels as the scan wants them
    std::vector<float> offsets, thresholds;

    Problem(Random& random, int64_t n_panels, int64_t factors, int64_t n_queries)
        : n_panels(n_panels),
          width(kernels::padded(factors)),
          n_queries(n_queries),
          items(matrix(n_panels * panel_rows, factors, [&] { return uniform(random); })),
          queries(matrix(n_queries, factors, [&] { return uniform(random); })),
          panels(n_panels * panel_rows * width) {
        for (int64_t row = 0; row < n_panels * panel_rows; ++row) {
            for (int64_t k = 0; k < width; ++k)
                panels[(row / panel_rows * width + k) * panel_rows + row % panel_rows] = items[row * width + k];
            offsets.push_back(uniform(random));
        }
        for (int64_t q = 0; q < n_queries; ++q) thresholds.push_back(uniform(random));
    }

    // The hits of each query; rows are numbered from 1000.
    std::vector<std::vector<Hit>> scan(const kernels::Set& set) const {
        const int64_t room = n_panels * panel_rows;
        std::vector<Hit> hits(static_cast<size_t>(n_queries * room));
        std::vector<int32_t> counts(static_cast<size_t>(n_queries), -1);
        set.scan->scan({panels.data(), offsets.data(), n_panels, 1000, width, queries.data(), n_queries,
                        thresholds.data(), hits.data(), counts.data()});
        std::vector<std::vector<Hit>> out;
        for (int64_t q = 0; q < n_queries; ++q) {
            const auto first = hits.begin() + q * room;
            out.emplace_back(first, first + counts[static_cast<size_t>(q)]);
        }
        return out;
    }

    double exact(int64_t query, int64_t row) const {
        return plain_dot(queries.data() + query * width, items.data() + row * width, width) +
               offsets[static_cast<size_t>(row)];
    }
};

// Every row that is surely not below the threshold is a hit, every hit has its score, and none is surely below.
void check(const Problem& p, const kernels::Set& set) {
    const auto hits = p.scan(set);
    const double error = 1e-7 * static_cast<double>(p.width * (p.width + 1));  // entries are below 1
    for (int64_t q = 0; q < p.n_queries; ++q) {
        size_t next = 0;
        const std::vector<Hit>& found = hits[static_cast<size_t>(q)];
        const float threshold = p.thresholds[static_cast<size_t>(q)];
        for (int64_t row = 0; row < p.n_panels * panel_rows; ++row) {
            const double exact = p.exact(q, row);
            if (next < found.size() && found[next].row == 1000 + row) {
                EXPECT_GE(found[next].score, threshold) << "query " << q << ", row " << row;
                EXPECT_NEAR(found[next].score, exact, error) << "query " << q << ", row " << row;
                ++next;
            } else {
                EXPECT_LT(exact, threshold + error) << "query " << q << ", row " << row << " was missed";
            }
        }
        EXPECT_EQ(next, found.size()) << "query " << q << ": rows out of order or twice";
    }
}

TEST(Scan, EveryNumberOfQueriesAndPanels) {
    Random random(2);
    std::vector<int64_t> n_queries{28, 43};
    for (int64_t q = 1; q <= 15; ++q) n_queries.push_back(q);
    for (const int64_t q : n_queries)
        for (int64_t panels = 1; panels <= 9; ++panels) {
            const Problem problem(random, panels, 1 + (q * 7 + panels * 5) % 40, q);
            for (const kernels::Set* set : supported_sets()) {
                SCOPED_TRACE(::testing::Message() << set->name << ", queries " << q << ", panels " << panels);
                check(problem, *set);
            }
        }
}

TEST(Scan, WideRows) {
    Random random(3);
    for (const int64_t factors : {64, 200, 1024}) {
        const Problem problem(random, 3, factors, 5);
        for (const kernels::Set* set : supported_sets()) {
            SCOPED_TRACE(::testing::Message() << set->name << ", factors " << factors);
            check(problem, *set);
        }
    }
}

TEST(Scan, NanIsAHitAndMinusInfinityTakesAll) {
    Random random(4);
    Problem problem(random, 2, 16, 2);
    problem.offsets[5] = std::numeric_limits<float>::quiet_NaN();
    problem.thresholds = {1e30f, -INFINITY};
    for (const kernels::Set* set : supported_sets()) {
        SCOPED_TRACE(set->name);
        const auto hits = problem.scan(*set);
        ASSERT_EQ(hits[0].size(), 1u);
        EXPECT_EQ(hits[0][0].row, 1005);
        EXPECT_TRUE(std::isnan(hits[0][0].score));
        EXPECT_EQ(hits[1].size(), static_cast<size_t>(2 * panel_rows));
    }
}

}  // namespace
}  // namespace mcfast::test
