// The canonical score, pair by pair, of rows that lie in the L2 cache.
#include "limits.h"

namespace mcfast::bench {
namespace {

void score(benchmark::State& state, const kernels::Set& set) {
    const int64_t width = state.range(0), n = (128 << 10) / (width * 4);
    test::Random random(1);
    const auto next = [&] { return test::uniform(random); };
    const Buffer<float> query = test::matrix(1, width, next), rows = test::matrix(n, width, next);
    for (int64_t i = 0; i < n; ++i) {
        const float* const row = rows.data() + i * width;
        require(set.score->dot(query.data(), row, width) == test::plain_dot(query.data(), row, width), "score");
    }
    for (auto _ : state)
        for (int64_t i = 0; i < n; ++i)
            benchmark::DoNotOptimize(set.score->score(query.data(), rows.data() + i * width, width, 0));
    const auto pairs = static_cast<double>(n), entries = static_cast<double>(n * width);
    report(state, {pairs, 2 * entries, 4 * entries}, limits(set), &Limits::l2_bytes);
}

}  // namespace
}  // namespace mcfast::bench

int main(int argc, char** argv) {
    mcfast::bench::register_sets("score", {16, 32, 64, 128, 256}, mcfast::bench::score);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
