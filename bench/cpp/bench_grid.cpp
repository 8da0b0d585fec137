// From triples to the training grid, by threads.
#include "limits.h"
#include "parallel.h"
#include "train/grid.h"

namespace mcfast::bench {
namespace {

constexpr int32_t n_users = 40000, n_items = 10000;
constexpr int64_t n = 4'000'000;

struct Data {
    std::vector<int32_t> users, items;
    std::vector<float> scores;

    Data() {
        test::Random random(1);
        for (int64_t i = 0; i < n; ++i) {
            const double x = test::uniform(random, 0, 1);
            users.push_back(static_cast<int32_t>(test::integer(random, 0, n_users - 1)));
            items.push_back(static_cast<int32_t>(n_items * 0.999 * x * x * x));  // popular ones first
            scores.push_back(static_cast<float>(i));
        }
    }
};

// Every triple once: scores are their numbers.
bool holds_all(train::Grid&& grid) {
    std::vector<bool> seen(static_cast<size_t>(n));
    int64_t distinct = 0;
    for (int64_t b = 0; b < grid.n_blocks(); ++b)
        grid.steps(b).for_each([&](uint16_t, uint16_t, float score, float) {
            distinct += !seen[static_cast<size_t>(score)];
            seen[static_cast<size_t>(score)] = true;
        });
    return distinct == n;
}

void grid(benchmark::State& state) {
    static const Data data;
    const train::Triples triples{data.users.data(), data.items.data(), data.scores.data(), n, n_users, n_items};
    const train::Shape shape = train::default_shape(n, n_users, n_items, 64);
    const auto threads = static_cast<int>(state.range(0));
    require(holds_all(train::Grid(triples, shape, 0, 1, threads)), "grid");
    for (auto _ : state) benchmark::DoNotOptimize(train::Grid(triples, shape, 0, 1, threads).n_samples());
    Limits all = limits(kernels::active());
    all.far_bytes *= threads;
    // Triples are read twice (rows for the counts, then all) and written by stripes of users, then read again and
    // written as blocks. Laying these out is part of their first epoch.
    report(state, {n, 0, n * double{8 + 12 + 10 + 10 + 8}}, all, &Limits::far_bytes);
}

void arguments(benchmark::internal::Benchmark* b) {
    for (int threads = 1; threads <= parallel::available(); threads *= 2) b->Arg(threads);
    b->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK(grid)->Apply(arguments);

}  // namespace
}  // namespace mcfast::bench

BENCHMARK_MAIN();
