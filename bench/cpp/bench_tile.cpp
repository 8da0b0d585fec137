// A tile of softmax: 256 positives against negatives that they share.
#include "limits.h"
#include "plain_tile.h"
#include "rank/trainer.h"

namespace mcfast::bench {
namespace {

constexpr int64_t columns = 1024;

void tile(benchmark::State& state, const kernels::Set& set) {
    constexpr int64_t rows = rank::tile_rows;
    const int64_t width = state.range(0);
    test::Random random(1);
    const auto next = [&] { return 0.3f * test::uniform(random); };
    const test::TileProblem p(rows, columns, width, next, [](int64_t) { return std::vector<int32_t>{}; });
    const kernels::TileFn run = set.tile->tile(kernels::RankingLoss::softmax);
    const test::Plain expected = test::plain_softmax(p.tile);
    require(std::fabs(run(p.tile, {0, 1}) - expected.loss) < 1e-5 * expected.loss, "loss of a tile");
    for (size_t i = 0; i < expected.negatives.size(); ++i)
        require(std::fabs(p.of_negatives[static_cast<int64_t>(i)] - expected.negatives[i]) < 1e-4,
                "gradient of a tile");
    for (auto _ : state) benchmark::DoNotOptimize(run(p.tile, {0, 1}));
    // An entry of a pair takes part in three products; what is read and written anew are the vectors alone.
    const auto pairs = static_cast<double>(rows * columns), entries = pairs * static_cast<double>(width);
    report(state, {rows * columns, 6 * entries, 12 * pairs}, limits(set), &Limits::l2_bytes);
}

}  // namespace
}  // namespace mcfast::bench

int main(int argc, char** argv) {
    mcfast::bench::register_sets("tile", {32, 64, 128}, mcfast::bench::tile);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
