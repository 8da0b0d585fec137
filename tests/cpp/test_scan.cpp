#include <gtest/gtest.h>

#include <limits>

#include "support.h"

namespace mcfast::test {
namespace {

using kernels::Bias;
using kernels::block_width;
using kernels::Hit;
using kernels::panel_rows;
using kernels::ScanQuery;

struct Problem {
    int64_t n_panels, width, n_queries;
    std::vector<int> items, queries;  // codes by row
    Buffer<uint8_t> panels;           // those of the items as the scan wants them
    std::vector<int8_t> query_codes;
    std::vector<Bias> biases;
    std::vector<float> offsets, thresholds;

    // Codes between -most and most; the lanes of a block sum 32 products.
    Problem(Random& random, int64_t n_panels, int64_t width, int64_t n_queries, int most_item = 60, int most_query = 16)
        : n_panels(n_panels), width(width), n_queries(n_queries), panels(n_panels * panel_rows * width) {
        const int64_t blocks = (width + block_width - 1) / block_width;
        for (int64_t row = 0; row < n_panels * panel_rows; ++row) {
            for (int64_t k = 0; k < width; ++k) {
                items.push_back(static_cast<int>(integer(random, -most_item, most_item)));
                panels[(row / panel_rows * width / 4 + k / 4) * panel_rows * 4 + row % panel_rows * 4 + k % 4] =
                    static_cast<uint8_t>(items.back() + kernels::code_bias);
            }
            offsets.push_back(uniform(random));
        }
        for (int64_t q = 0; q < n_queries; ++q) {
            std::vector<int> lanes(static_cast<size_t>(2 * blocks));
            for (int64_t k = 0; k < width; ++k) {
                queries.push_back(static_cast<int>(integer(random, -most_query, most_query)));
                query_codes.push_back(static_cast<int8_t>(queries.back()));
                lanes[static_cast<size_t>(k / block_width * 2 + k % 4 / 2)] -= kernels::code_bias * queries.back();
            }
            for (size_t b = 0; b < lanes.size(); b += 2)
                biases.push_back(
                    {static_cast<uint32_t>(lanes[b + 1]) << 16 | (static_cast<uint32_t>(lanes[b]) & 0xffff),
                     lanes[b] + lanes[b + 1]});
            thresholds.push_back(static_cast<float>(integer(random, -3000, 3000)));
        }
    }

    // The score of each hit by query and row; rows are numbered from 1000.
    std::vector<std::vector<std::pair<int32_t, float>>> scan(const kernels::Set& set, float scale) const {
        std::vector<ScanQuery> asked;
        const size_t blocks = biases.size() / static_cast<size_t>(n_queries);
        for (size_t q = 0; q < static_cast<size_t>(n_queries); ++q)
            asked.push_back({&query_codes[q * static_cast<size_t>(width)], &biases[q * blocks], thresholds[q], scale});
        std::vector<Hit> hits(static_cast<size_t>(n_queries * n_panels * panel_rows));
        const int64_t n = set.scan->scan({panels.data(), scale != 0 ? offsets.data() : nullptr, n_panels, 1000, width,
                                          asked.data(), n_queries, hits.data()});
        std::vector<std::vector<std::pair<int32_t, float>>> out(asked.size());
        for (size_t i = 0; i < static_cast<size_t>(n); ++i)
            out[static_cast<size_t>(hits[i].query)].emplace_back(hits[i].row, hits[i].score);
        return out;
    }

    int sum(int64_t query, int64_t row) const {
        int total = 0;
        for (int64_t k = 0; k < width; ++k)
            total += items[static_cast<size_t>(row * width + k)] * queries[static_cast<size_t>(query * width + k)];
        return total;
    }
};

// Without offsets sums are whole numbers, so hits and scores are known; offsets may round.
void check(const Problem& p, const kernels::Set& set, float scale) {
    const auto hits = p.scan(set, scale);
    for (int64_t q = 0; q < p.n_queries; ++q) {
        size_t next = 0;
        const auto& found = hits[static_cast<size_t>(q)];
        const float threshold = p.thresholds[static_cast<size_t>(q)];
        for (int64_t row = 0; row < p.n_panels * panel_rows; ++row) {
            const float offset = scale * p.offsets[static_cast<size_t>(row)];
            const float exact = static_cast<float>(p.sum(q, row)) + offset, error = std::fabs(offset) * 1e-5f;
            if (next < found.size() && found[next].first == 1000 + row) {
                EXPECT_GE(found[next].second, threshold) << "query " << q << ", row " << row;
                EXPECT_NEAR(found[next].second, exact, error) << "query " << q << ", row " << row;
                ++next;
            } else {
                EXPECT_LT(exact, threshold + error + 1e-9f) << "query " << q << ", row " << row << " was missed";
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
        for (int64_t panels = 1; panels <= 5; ++panels) {
            const Problem problem(random, panels, 16 + (q * 7 + panels * 5) % 9 * 16, q);
            for (const kernels::Set* set : supported_sets())
                for (const float scale : {0.0f, 2000.0f}) {
                    SCOPED_TRACE(::testing::Message() << set->name << ", queries " << q << ", panels " << panels);
                    check(problem, *set, scale);
                }
        }
}

TEST(Scan, WideRows) {
    Random random(3);
    for (const int64_t width : {64, 208, 1024}) {
        const Problem problem(random, 3, width, 5);
        for (const kernels::Set* set : supported_sets()) {
            SCOPED_TRACE(::testing::Message() << set->name << ", width " << width);
            check(problem, *set, 0);
        }
    }
}

// The largest codes that go together, in the signs that make the bias wrap around most.
TEST(Scan, SumsAtTheEndOf16Bits) {
    Random random(4);
    for (const auto& [item, query] : {std::pair{127, 8}, {15, 64}, {-127, 8}, {127, -8}, {-15, -64}}) {
        Problem problem(random, 2, 64, 3, 0, 0);
        for (int64_t row = 0; row < 2 * panel_rows; ++row)
            for (int64_t k = 0; k < 64; ++k) problem.items[static_cast<size_t>(row * 64 + k)] = item;
        std::fill(problem.panels.begin(), problem.panels.end(), static_cast<uint8_t>(item + kernels::code_bias));
        std::fill(problem.queries.begin(), problem.queries.end(), query);
        std::fill(problem.query_codes.begin(), problem.query_codes.end(), static_cast<int8_t>(query));
        const int lane = -kernels::code_bias * query * 32;
        for (Bias& b : problem.biases)
            b = {static_cast<uint32_t>(lane) << 16 | (static_cast<uint32_t>(lane) & 0xffff), 2 * lane};
        for (const kernels::Set* set : supported_sets()) {
            SCOPED_TRACE(::testing::Message() << set->name << ", codes " << item << " and " << query);
            problem.thresholds = {static_cast<float>(64 * item * query), -INFINITY, INFINITY};
            const auto hits = problem.scan(*set, 0);
            EXPECT_EQ(hits[0].size(), static_cast<size_t>(2 * panel_rows));
            EXPECT_EQ(hits[1].size(), static_cast<size_t>(2 * panel_rows));
            EXPECT_EQ(hits[2].size(), 0u);
            for (const auto& [row, score] : hits[1]) EXPECT_EQ(score, static_cast<float>(64 * item * query));
        }
    }
}

TEST(Scan, NanIsAHit) {
    Random random(5);
    Problem problem(random, 2, 16, 2);
    problem.offsets[5] = std::numeric_limits<float>::quiet_NaN();
    problem.thresholds = {1e30f, 1e30f};
    for (const kernels::Set* set : supported_sets()) {
        SCOPED_TRACE(set->name);
        const auto hits = problem.scan(*set, 1);
        ASSERT_EQ(hits[0].size(), 1u);
        EXPECT_EQ(hits[0][0].first, 1005);
        EXPECT_TRUE(std::isnan(hits[0][0].second));
    }
}

}  // namespace
}  // namespace mcfast::test
