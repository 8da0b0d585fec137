#include "recall/exact.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "recall/best.h"
#include "support.h"

namespace mcfast::test {
namespace {

using recall::Bits;
using recall::Exact;
using recall::Filter;
using recall::Metric;

struct Case {
    const char* name;
    int64_t n, factors, n_queries, k;
    std::function<float(Random&)> entry;
    bool offsets = true;
};

// Rows 0 .. n-1 of which `in` says so, as words.
std::vector<uint64_t> words(int64_t n, const std::function<bool(int64_t)>& in) {
    std::vector<uint64_t> out(static_cast<size_t>((n + 63) / 64));
    for (int64_t i = 0; i < n; ++i)
        if (in(i)) out[static_cast<size_t>(i / 64)] |= uint64_t{1} << (i % 64);
    return out;
}

Bits bits(const std::vector<uint64_t>& words) { return {words.data(), static_cast<int64_t>(words.size())}; }

float spread(Random& random) { return std::ldexp(uniform(random), static_cast<int>(integer(random, -60, 45))); }
float normal(Random& random) { return uniform(random); }

const Case cases[] = {
    {"random", 1500, 20, 50, 10, normal},
    {"no offsets", 700, 16, 5, 10, normal, false},
    {"one query", 3000, 64, 1, 100, normal},
    {"one item", 1, 3, 3, 2, normal},
    {"k over n", 33, 17, 4, 50, normal},
    {"k is n", 100, 5, 4, 100, normal},
    {"k is 0", 100, 5, 4, 0, normal},
    {"ties", 2000, 2, 9, 30, [](Random& r) { return static_cast<float>(integer(r, -1, 1)); }},
    {"zeros", 600, 8, 3, 20, [](Random&) { return 0.0f; }, false},
    {"spread", 2000, 24, 20, 25, spread},
    {"denormal", 1200, 16, 4, 20, [](Random& r) { return 1e-42f * uniform(r); }, false},
    {"small products", 1200, 16, 4, 20, [](Random& r) { return 1e-22f * uniform(r); }, false},
    {"products overflow", 1200, 16, 6, 20, [](Random& r) { return 3e19f * uniform(r); }, false},
    {"everything overflows", 900, 16, 4, 20, [](Random& r) { return 3e38f * uniform(r); }, false},
};

// Checks every query against a full sort by the canonical score.
void check(const Case& c, const Filter& filter, uint64_t seed, int threads) {
    Random random(seed);
    const int64_t width = kernels::padded(c.factors);
    const Buffer<float> rows = matrix(c.n, c.factors, [&] { return c.entry(random); });
    const Buffer<float> queries = matrix(c.n_queries, c.factors, [&] { return c.entry(random); });
    std::vector<float> offsets;
    for (int64_t i = 0; c.offsets && i < c.n; ++i) offsets.push_back(c.entry(random));
    const auto offset = [&](int64_t i) { return c.offsets ? offsets[static_cast<size_t>(i)] : 0.0f; };

    const Exact index({rows.data(), c.n, width, c.offsets ? offsets.data() : nullptr, Metric::ip}, threads);
    std::vector<int64_t> found(static_cast<size_t>(c.n_queries * c.k)), counts(static_cast<size_t>(c.n_queries));
    std::vector<float> scores(found.size());
    index.search(queries.data(), c.n_queries, c.k, filter, threads, found.data(), scores.data(), counts.data());

    for (int64_t q = 0; q < c.n_queries; ++q) {
        std::vector<std::pair<float, int64_t>> expected;  // minus the score, so that pairs sort as wanted
        for (int64_t i = 0; i < c.n; ++i) {
            if (filter.allow && !filter.allow[i]) continue;
            if (filter.exclude_indptr &&
                std::count(filter.exclude_rows + filter.exclude_indptr[q],
                           filter.exclude_rows + filter.exclude_indptr[q + 1], static_cast<int32_t>(i)))
                continue;
            const double dot = plain_dot(queries.data() + q * width, rows.data() + i * width, width);
            expected.emplace_back(-static_cast<float>(dot + offset(i)), i);
        }
        std::sort(expected.begin(), expected.end());
        expected.resize(std::min(expected.size(), static_cast<size_t>(c.k)));
        ASSERT_EQ(counts[static_cast<size_t>(q)], static_cast<int64_t>(expected.size())) << "query " << q;
        for (size_t i = 0; i < static_cast<size_t>(c.k); ++i) {
            const size_t at = static_cast<size_t>(q * c.k) + i;
            const bool real = i < expected.size();
            ASSERT_EQ(found[at], real ? expected[i].second : -1) << "query " << q << ", place " << i;
            ASSERT_EQ(scores[at], real ? -expected[i].first : -INFINITY) << "query " << q << ", place " << i;
        }
    }
}

TEST(Exact, EqualsAFullSort) {
    for (const kernels::Set* set : supported_sets()) {
        const UseSet use(set);
        for (const Case& c : cases) {
            SCOPED_TRACE(::testing::Message() << set->name << ", " << c.name);
            check(c, {}, 5, 1);
        }
    }
}

TEST(Exact, EveryNumberOfThreads) {
    const Case c{"", 1100, 12, 200, 7, spread};
    for (const int threads : {2, 7}) check(c, {}, 6, threads);
}

TEST(Exact, FewQueriesShareOutTheItems) {
    const Case c{"", 70'000, 64, 2, 30, normal};
    const std::vector<uint64_t> few = words(c.n, [](int64_t i) { return i % 100 == 0; });
    for (const int threads : {1, 3}) {
        check(c, {}, 10, threads);
        check(c, {nullptr, nullptr, bits(few)}, 10, threads);
    }
    check({"no queries", 70'000, 64, 0, 3, normal}, {}, 10, 3);
}

TEST(Exact, ExcludedAndForbiddenRowsNeverCome) {
    const Case c{"", 300, 6, 8, 40, normal};
    Random random(7);
    std::vector<int64_t> indptr{0};
    std::vector<int32_t> rows;
    for (int64_t q = 0; q < c.n_queries; ++q) {
        for (int32_t i = 0; i < c.n; ++i)
            if (integer(random, 0, c.n_queries - 1) < q + 1) rows.push_back(i);  // the last query: every row
        indptr.push_back(static_cast<int64_t>(rows.size()));
    }
    const std::vector<uint64_t> allow = words(c.n, [&](int64_t) { return integer(random, 0, 1) == 1; });
    const std::vector<uint64_t> none = words(c.n, [](int64_t) { return false; });
    for (const int threads : {1, 2}) {
        check(c, {indptr.data(), rows.data()}, 8, threads);
        check(c, {nullptr, nullptr, bits(allow)}, 8, threads);
        check(c, {indptr.data(), rows.data(), bits(allow)}, 8, threads);
        check(c, {nullptr, nullptr, bits(none)}, 8, threads);
    }
}

TEST(Exact, NothingToSearchOrToAsk) {
    check({"no items", 0, 4, 2, 3, normal}, {}, 9, 2);
    check({"no queries", 10, 4, 0, 3, normal}, {}, 9, 2);
}

// A partial sum in fp32 would overflow where the score itself does not.
TEST(Exact, OverflowInsideASumHidesNothing) {
    Buffer<float> rows = matrix(600, 3, [] { return 0.0f; });
    const Buffer<float> query = matrix(1, 3, [] { return 1e19f; });
    for (int64_t i = 0; i < 600; ++i) rows[i * 16 + 2] = 1e-19f * static_cast<float>(i % 300);
    float* const hidden = rows.data() + 599 * 16;
    hidden[0] = -4e19f, hidden[1] = 4e19f, hidden[2] = 1e11f;
    for (const kernels::Set* set : supported_sets()) {
        const UseSet use(set);
        SCOPED_TRACE(set->name);
        const Exact index({rows.data(), 600, 16, nullptr, Metric::ip}, 1);
        int64_t row, count;
        float score;
        index.search(query.data(), 1, 1, {}, 1, &row, &score, &count);
        EXPECT_EQ(row, 599);
        EXPECT_NEAR(score, 1e30f, 1e24f);
    }
}

TEST(Best, KeepsTheLowestRowsOfATie) {
    recall::Best best(7);
    for (int32_t row = 100000; row-- > 0;) best.add({row, 1.5f});
    const std::vector<recall::Scored>& left = best.finish();
    ASSERT_EQ(left.size(), 7u);
    for (const recall::Scored& scored : left) EXPECT_LT(scored.row, 7);
}

}  // namespace
}  // namespace mcfast::test
