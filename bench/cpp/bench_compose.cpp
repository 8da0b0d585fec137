// Composing the rows of a tile, and taking their gradients back: ids alone, and with ten values of attributes.
#include "compose/composition.h"
#include "limits.h"

namespace mcfast::bench {
namespace {

constexpr int64_t n_ids = 40000, n_values = 5000, rows = 1280;  // of a tile: 256 positives and 1,024 negatives
constexpr int64_t width = 64;

void compose(benchmark::State& state, const kernels::Set& set) {
    const test::UseSet use(&set);
    const int64_t values = state.range(0);
    test::Random random(1);
    std::vector<int64_t> indptr{0};
    std::vector<int32_t> parameters, chosen;
    std::vector<float> coefficients;
    for (int32_t i = 0; i < n_ids; ++i) {
        parameters.push_back(i);
        coefficients.push_back(1);
        for (int64_t v = 0; v < values; ++v) {
            parameters.push_back(static_cast<int32_t>(n_ids + 1 + test::integer(random, 0, n_values - 1)));
            coefficients.push_back(1 / static_cast<float>(values));
        }
        indptr.push_back(static_cast<int64_t>(parameters.size()));
    }
    for (int64_t i = 0; i < rows; ++i) chosen.push_back(static_cast<int32_t>(test::integer(random, 0, n_ids - 1)));
    const Buffer<float> table = test::matrix(n_ids + 1 + n_values, width, [&] { return test::uniform(random); });
    Buffer<float> block(rows * width), gradients = test::matrix(rows, width, [&] { return test::uniform(random); });
    compose::Composition<float> composition(
        {indptr.data(), parameters.data(), coefficients.data(), n_ids + 1 + n_values, n_ids}, width, true);
    compose::Places places;
    for (auto _ : state) {
        composition.lay(chosen.data(), nullptr, nullptr, rows, places);
        composition.compose(table.data(), block.data());
        composition.backward(block.data(), gradients.data());
        benchmark::DoNotOptimize(composition.slope(0));
    }
    const auto terms = static_cast<double>(rows * (1 + values));
    report(state, {terms, 4 * terms * width, 4 * 3 * terms * width}, limits(set), &Limits::l2_bytes);
}

}  // namespace
}  // namespace mcfast::bench

int main(int argc, char** argv) {
    mcfast::bench::register_sets("compose", {0, 10}, mcfast::bench::compose);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
