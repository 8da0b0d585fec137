#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "recall/changing.h"
#include "support.h"

namespace mcfast::test {
namespace {

using recall::Changing;
using recall::Exact;
using recall::Filter;
using recall::Items;
using recall::Metric;

constexpr int64_t width = 16, k = 20;

struct Found {
    std::vector<int64_t> rows = std::vector<int64_t>(k);
    std::vector<float> scores = std::vector<float>(k);
    int64_t count = 0;
};

Found search(const Changing<Exact>& index, const float* query, const Filter& filter = {}) {
    Found found;
    index.search(query, 1, filter, 1, {k, found.rows.data(), found.scores.data(), &found.count},
                 [&](const Filter& own) {
                     index.built.search(query, 1, k, own, 1, found.rows.data(), found.scores.data(), &found.count);
                 });
    return found;
}

Buffer<float> rows(Random& random, int64_t n) {
    return matrix(n, width, [&] { return uniform(random); });
}

TEST(Changes, AnswersAreThoseOfANewIndex) {
    Random random(1);
    for (const Metric metric : {Metric::ip, Metric::l2}) {
        const int64_t n = 1500, all = 6000;
        const Buffer<float> built = rows(random, n), query = rows(random, 1);
        Changing<Exact> index({built.data(), n, width, nullptr, metric}, 2);
        Buffer<float> now(all * width);
        std::vector<char> there(all, 0);
        std::copy(built.begin(), built.end(), now.begin());
        std::fill_n(there.begin(), n, 1);
        while (index.changes.now()->size + 300 <= all) {
            const Buffer<float> added = rows(random, 300);
            const int64_t first = index.changes.add(added.data(), nullptr, 300);
            std::copy(added.begin(), added.end(), now.begin() + first * width);
            std::fill_n(there.begin() + first, 300, 1);
            for (int i = 0; i < 100; ++i) {
                const auto id = static_cast<int32_t>(integer(random, 0, index.changes.now()->size - 1));
                if (i % 2) {
                    index.changes.remove(&id, 1);
                    there[static_cast<size_t>(id)] = 0;
                } else {
                    const Buffer<float> put = rows(random, 1);
                    index.changes.put(&id, put.data(), nullptr, 1);
                    std::copy(put.begin(), put.end(), now.begin() + id * width);
                    there[static_cast<size_t>(id)] = 1;
                }
            }
            std::vector<std::pair<float, int64_t>> expected;
            const Items items{now.data(), all, width, nullptr, metric};
            const double square = Items::dot(query.data(), query.data(), width);
            for (int64_t i = 0; i < index.changes.now()->size; ++i)
                if (there[static_cast<size_t>(i)]) expected.emplace_back(-items.score(query.data(), square, i), i);
            std::sort(expected.begin(), expected.end());
            const Found found = search(index, query.data());
            ASSERT_EQ(found.count, k);
            for (size_t i = 0; i < k; ++i) {
                ASSERT_EQ(found.rows[i], expected[i].second);
                ASSERT_EQ(found.scores[i], -expected[i].first);
            }
        }
        std::vector<int32_t> gone;
        for (int32_t i = 0; i < index.changes.now()->size; ++i)
            if (!there[static_cast<size_t>(i)]) gone.push_back(i);
        EXPECT_EQ(index.changes.removed_rows(), gone);
    }
}

// Rows are removed in order, and what has been removed before a search starts never comes.
TEST(Changes, SearchesAndChangesInThreads) {
    Random random(2);
    const int64_t n = 3000;
    const Buffer<float> built = rows(random, n), queries = rows(random, 64);
    Changing<Exact> index({built.data(), n, width, nullptr, Metric::ip}, 2);
    std::atomic<int64_t> removed{0};
    std::atomic<bool> done{false};
    std::atomic<int> wrong{0};
    std::vector<std::thread> searchers;
    for (int t = 0; t < 3; ++t)
        searchers.emplace_back([&, t] {
            for (int64_t i = t; !done; ++i) {
                const int64_t before = removed;
                const Found found = search(index, queries.data() + i % 64 * width);
                for (int64_t place = 0; place < found.count; ++place)
                    wrong += found.rows[static_cast<size_t>(place)] < before;
            }
        });
    for (int32_t id = 0; id < 2000; ++id) {
        const Buffer<float> added = rows(random, 2);
        index.changes.add(added.data(), nullptr, 2);
        const auto other = static_cast<int32_t>(integer(random, 2000, index.changes.now()->size - 1));
        index.changes.put(&other, added.data(), nullptr, 1);
        index.changes.remove(&id, 1);
        removed = id + 1;
    }
    done = true;
    for (std::thread& searcher : searchers) searcher.join();
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace mcfast::test
