// The k = 100 best of 300,000 items of 64 factors, exactly: a batch of queries, and one query at a time.
#include <algorithm>

#include "limits.h"
#include "recall/exact.h"

namespace mcfast::bench {
namespace {

constexpr int64_t n = 300'000, width = 64, k = 100;

// Rows with norms that differ, as those of trained items do.
Buffer<float> rows(int64_t count) {
    test::Random random(static_cast<uint64_t>(count));
    int64_t entry = 0;
    float norm = 1;
    return test::matrix(count, width, [&] {
        if (entry++ % width == 0) norm = std::exp(0.6f * test::uniform(random));
        return norm * test::uniform(random);
    });
}

bool equals_full_sort(const float* items, const float* query, const int64_t* found, const float* scores) {
    std::vector<std::pair<float, int64_t>> all;  // minus the score, so that pairs sort as wanted
    for (int64_t i = 0; i < n; ++i)
        all.emplace_back(-static_cast<float>(test::plain_dot(query, items + i * width, width)), i);
    std::partial_sort(all.begin(), all.begin() + k, all.end());
    for (int64_t i = 0; i < k; ++i)
        if (found[i] != all[static_cast<size_t>(i)].second || scores[i] != -all[static_cast<size_t>(i)].first)
            return false;
    return true;
}

void exact(benchmark::State& state, const kernels::Set& set) {
    const test::UseSet use(&set);
    const int64_t n_queries = state.range(0);
    const Buffer<float> items = rows(n), queries = rows(n_queries);
    const recall::Exact index({items.data(), n, width, nullptr, recall::Metric::ip}, 1);
    std::vector<int64_t> found(static_cast<size_t>(n_queries * k)), counts(static_cast<size_t>(n_queries));
    std::vector<float> scores(found.size());
    const auto search = [&] {
        index.search(queries.data(), n_queries, k, {}, 1, found.data(), scores.data(), counts.data());
    };
    search();
    for (const int64_t q : {int64_t{0}, n_queries - 1})
        require(equals_full_sort(items.data(), queries.data() + q * width, &found[static_cast<size_t>(q * k)],
                                 &scores[static_cast<size_t>(q * k)]),
                "exact search");
    for (auto _ : state) search();
    // A batch shares one pass over the codes, of a byte each.
    const double passes = std::ceil(static_cast<double>(n_queries) / 120), entries = n * width;
    report(state, {static_cast<double>(n_queries), 2 * entries * static_cast<double>(n_queries), entries * passes},
           limits(set), &Limits::far_bytes);
}

}  // namespace
}  // namespace mcfast::bench

int main(int argc, char** argv) {
    mcfast::bench::register_sets("exact", {1, 168}, mcfast::bench::exact);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
