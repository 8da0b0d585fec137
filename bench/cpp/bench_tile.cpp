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
    const Buffer<float> users = test::matrix(rows, width, next), items = test::matrix(rows, width, next);
    const Buffer<float> negatives = test::matrix(columns, width, next);
    const Buffer<float> corrections = test::matrix(1, columns, next), shift = test::matrix(1, rows, next);
    const std::vector<int32_t> hidden_indptr(rows + 1);
    Buffer<float> of_users(rows * width), of_items(rows * width), of_negatives(columns * width);
    Buffer<float> transposed(columns * width), scores(kernels::strip_rows * columns);
    const kernels::Tile work{rows,
                             columns,
                             width,
                             users.data(),
                             items.data(),
                             negatives.data(),
                             corrections.data(),
                             shift.data(),
                             hidden_indptr.data(),
                             nullptr,
                             of_users.data(),
                             of_items.data(),
                             of_negatives.data(),
                             transposed.data(),
                             scores.data()};
    const kernels::TileFn run = set.tile->tile(kernels::RankingLoss::softmax);
    const test::Plain expected = test::plain_softmax(work);
    require(std::fabs(run(work, {0, 1}) - expected.loss) < 1e-5 * expected.loss, "loss of a tile");
    for (size_t i = 0; i < expected.negatives.size(); ++i)
        require(std::fabs(of_negatives[static_cast<int64_t>(i)] - expected.negatives[i]) < 1e-4, "gradient of a tile");
    for (auto _ : state) benchmark::DoNotOptimize(run(work, {0, 1}));
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
