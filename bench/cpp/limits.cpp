#include "limits.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "kernels/sets.h"
#include "limits_table.h"

namespace mcfast::bench {

#define MCFAST_DECLARE(symbol, name, test) extern const LimitsTable limits_##symbol;
MCFAST_SETS(MCFAST_DECLARE)
#undef MCFAST_DECLARE

namespace {

const LimitsTable& table(const std::string& set) {
#define MCFAST_TABLE_OF(symbol, name, test) \
    if (set == name) return limits_##symbol;
    MCFAST_SETS(MCFAST_TABLE_OF)
#undef MCFAST_TABLE_OF
    std::abort();
}

// Calls a second of the best of many short runs: other processes can only slow it down.
template <class Fn>
double best_rate(const Fn& fn) {
    using Clock = std::chrono::steady_clock;
    double best = 0;
    const auto end = Clock::now() + std::chrono::milliseconds(100);
    while (Clock::now() < end) {
        const auto start = Clock::now();
        benchmark::DoNotOptimize(fn());
        best = std::max(best, 1 / std::chrono::duration<double>(Clock::now() - start).count());
    }
    return best;
}

double load_rate(const LimitsTable& of, int64_t bytes, int repeats) {
    const int64_t n = bytes / static_cast<int64_t>(sizeof(float));
    const Buffer<float> from = test::matrix(1, n, [] { return 1.0f; });
    const auto loads = [&] {
        float sum = 0;
        for (int i = 0; i < repeats; ++i) benchmark::DoNotOptimize(sum += of.load(from.data(), n));
        return sum;
    };
    return best_rate(loads) * repeats * static_cast<double>(bytes);
}

}  // namespace

const Limits& limits(const kernels::Set& set) {
    static std::map<std::string, Limits> measured;
    const auto at = measured.find(set.name);
    if (at != measured.end()) return at->second;
    const LimitsTable& of = table(set.name);
    constexpr int64_t rounds = 10000;
    const double flops = best_rate([&] { return of.multiply_add(rounds); }) * rounds * of.flops_a_round;
    return measured[set.name] = {flops, load_rate(of, 16 << 10, 1000), load_rate(of, 256 << 10, 100),
                                 load_rate(of, 8 << 20, 4), load_rate(of, 64 << 20, 1)};
}

double latency(int64_t bytes) {
    struct alignas(64) Line {
        int64_t next;
    };
    const int64_t n = bytes / static_cast<int64_t>(sizeof(Line));
    std::vector<Line> lines(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) lines[i].next = i;
    std::mt19937_64 random(1);
    for (int64_t i = n - 1; i > 0; --i)  // one cycle through all lines (Sattolo, Information Processing Letters 1986)
        std::swap(lines[i].next, lines[random() % static_cast<uint64_t>(i)].next);
    const int64_t loads = std::max<int64_t>(n, 1 << 16);
    return 1 / (best_rate([&] {
                    int64_t at = 0;
                    for (int64_t i = 0; i < loads; ++i) at = lines[at].next;
                    return at;
                }) *
                static_cast<double>(loads));
}

void require(bool proved, const char* what) {
    if (proved) return;
    std::fprintf(stderr, "wrong answer, nothing timed: %s\n", what);
    std::exit(1);
}

void report(benchmark::State& state, const Work& work, const Limits& limits, double Limits::*bandwidth) {
    using benchmark::Counter;
    const auto rate = [&](double amount) { return Counter(amount, Counter::kIsIterationInvariantRate); };
    state.counters["items/s"] = rate(work.items);
    state.counters["flops/s"] = rate(work.flops);
    state.counters["bytes/s"] = rate(work.bytes);
    state.counters["of_peak_flops"] = rate(work.flops / limits.flops);
    state.counters["of_bandwidth"] = rate(work.bytes / (limits.*bandwidth));
}

}  // namespace mcfast::bench
