// A whole epoch on planted data, by threads: NAME/factors/threads.
#include <memory>

#include "limits.h"
#include "parallel.h"
#include "train/trainer.h"

namespace mcfast::bench {
namespace {

constexpr int32_t n_users = 40000, n_items = 10000, rank = 8;
constexpr int64_t n = 2'000'000;

// Popular rows first, as a cubed uniform number draws them.
struct Planted {
    std::vector<int32_t> users, items;
    std::vector<float> scores;

    Planted() {
        test::Random random(1);
        const auto next = [&] { return test::uniform(random); };
        const Buffer<float> a = test::matrix(n_users, rank, next), b = test::matrix(n_items, rank, next);
        const auto draw = [&](int32_t rows) {
            const double x = test::uniform(random, 0, 1);
            return std::min(rows - 1, static_cast<int32_t>(rows * x * x * x));
        };
        for (int64_t i = 0; i < n; ++i) {
            users.push_back(draw(n_users));
            items.push_back(draw(n_items));
            const double dot = test::plain_dot(a.data() + users.back() * 16, b.data() + items.back() * 16, 16);
            scores.push_back(3 + static_cast<float>(dot) + 0.1f * next());
        }
    }
    train::Trainer trainer(int64_t factors) const {
        train::Options options;
        options.factors = factors;
        return {{users.data(), items.data(), scores.data(), n, n_users, n_items}, options};
    }
};

void epoch(benchmark::State& state) {
    static const Planted data;
    const auto nothing = [](int64_t) {};
    const auto threads = static_cast<int>(state.range(1));
    train::Trainer trainer = data.trainer(state.range(0)), alone = data.trainer(state.range(0));
    const double first = trainer.epoch(1, 0.1f, threads, nothing);
    require(first == alone.epoch(1, 0.1f, 1, nothing), "an epoch with another number of threads has other bits");
    require(trainer.epoch(2, 0.1f, threads, nothing) < first, "the loss does not fall");
    uint32_t number = 2;
    for (auto _ : state) benchmark::DoNotOptimize(trainer.epoch(++number, 0.1f, threads, nothing));
    const auto entries = static_cast<double>(n * trainer.width());
    Limits all = limits(kernels::active());
    all.flops *= threads;
    all.l2_bytes *= threads;
    report(state, {n, 8 * entries, 8 * entries}, all, &Limits::l2_bytes);
}

void arguments(benchmark::internal::Benchmark* b) {
    for (const int64_t factors : {16, 32, 64, 128})
        for (int threads = 1; threads <= parallel::available(); threads *= 2) b->Args({factors, threads});
    b->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK(epoch)->Apply(arguments);

}  // namespace
}  // namespace mcfast::bench

BENCHMARK_MAIN();
