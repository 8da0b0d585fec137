// One block of the training grid, its item factors in the L2 cache.
#include "limits.h"
#include "plain_sgd.h"

namespace mcfast::bench {
namespace {

constexpr int64_t n_samples = 20000, n_users = 2000;

struct Side {
    Buffer<float> factors;
    std::vector<kernels::RowState> states;

    Side(int64_t n, int64_t width, test::Random& random)
        : factors(test::matrix(n, width, [&] { return 0.1f * test::uniform(random); })),
          states(static_cast<size_t>(n), {1, 1, 0, 0}) {}

    std::vector<test::PlainRow> plain(int64_t width) const {
        std::vector<test::PlainRow> rows;
        for (const float* row = factors.begin(); row != factors.end(); row += width)
            rows.push_back({{row, row + width}});
        return rows;
    }
};

void sgd(benchmark::State& state, const kernels::Set& set) {
    const int64_t width = state.range(0), n_items = (256 << 10) / (4 * width);
    test::Random random(1);
    Side users(n_users, width, random), items(n_items, width, random);
    std::vector<test::Sample> samples;
    for (int64_t i = 0; i < n_samples; ++i)
        samples.push_back({static_cast<uint16_t>(i * n_users / n_samples),
                           static_cast<uint16_t>(test::integer(random, 0, n_items - 1)), test::uniform(random)});
    const test::Lockstep data(samples);
    kernels::Block block = data.block();
    block.user_factors = users.factors.data();
    block.item_factors = items.factors.data();
    block.user_states = users.states.data();
    block.item_states = items.states.data();
    kernels::Step step{};
    step.factors = step.width = width;
    step.learning_rate = step.bias_learning_rate = step.user_l2 = step.item_l2 = step.bias_l2 = 0.05f;
    const kernels::BlockFn run = set.sgd->block(kernels::Loss::squared, true, width);
    set.sgd->measure(block.item_factors, block.item_states, n_items, width);
    set.sgd->measure(block.user_factors, block.user_states, n_users, width);
    const auto train = [&] { return run(block, step); };

    auto plain_users = users.plain(width), plain_items = items.plain(width);
    const double expected = test::plain_block(data.samples, plain_users, plain_items, step, test::plain_squared);
    require(std::fabs(train() - expected) < 1e-5 * expected, "loss of a block");
    for (auto _ : state) benchmark::DoNotOptimize(train());
    // An entry takes part in an inner product and two updates; an item's row is loaded and stored.
    const auto entries = static_cast<double>(n_samples * width);
    report(state, {n_samples, 8 * entries, 8 * entries}, limits(set), &Limits::l2_bytes);
}

}  // namespace
}  // namespace mcfast::bench

int main(int argc, char** argv) {
    mcfast::bench::register_sets("sgd", {16, 32, 64, 128}, mcfast::bench::sgd);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
