// Ids to rows, by threads: dense ids take a table, sparse ones a hash.
#include "data/encode.h"

#include "limits.h"
#include "parallel.h"

namespace mcfast::bench {
namespace {

constexpr int64_t n = 4'000'000, n_distinct = 100'000;

// Rows by first appearance: a new row is the next number, and every row leads back to its id.
bool is_encoding(const std::vector<int64_t>& values, const std::vector<int32_t>& rows,
                 const std::vector<int64_t>& ids) {
    int32_t next = 0;
    for (size_t i = 0; i < values.size(); ++i) {
        if (rows[i] < 0 || rows[i] > next || ids[static_cast<size_t>(rows[i])] != values[i]) return false;
        next += rows[i] == next;
    }
    return static_cast<size_t>(next) == ids.size();
}

void encode(benchmark::State& state, int64_t factor) {
    test::Random random(1);
    std::vector<int64_t> values;
    for (int64_t i = 0; i < n; ++i) values.push_back(factor * test::integer(random, 0, n_distinct - 1));
    std::vector<int32_t> rows(values.size());
    const auto threads = static_cast<int>(state.range(0));
    const std::vector<data::Span<int64_t>> chunks{{values.data(), n}};
    require(is_encoding(values, rows, data::encode(chunks, rows.data(), threads)), "encode");
    for (auto _ : state) benchmark::DoNotOptimize(data::encode(chunks, rows.data(), threads));
    Limits all = limits(kernels::active());
    all.far_bytes *= threads;
    report(state, {n, 0, n * double{sizeof(int64_t) + sizeof(int32_t)}}, all, &Limits::far_bytes);
}

void arguments(benchmark::internal::Benchmark* b) {
    for (int threads = 1; threads <= parallel::available(); threads *= 2) b->Arg(threads);
    b->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(encode, dense, 1)->Apply(arguments);
BENCHMARK_CAPTURE(encode, sparse, 1'000'003)->Apply(arguments);

}  // namespace
}  // namespace mcfast::bench

BENCHMARK_MAIN();
