// What the benchmarks share: proofs, and what the machine can do at most beside what is measured.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

#include "support.h"

namespace mcfast::bench {

// Of one thread, a second; measured once a process.
struct Limits {
    double flops;
    double l1_bytes, l2_bytes, l3_bytes, far_bytes;  // loaded from 16 KiB, 256 KiB, 8 MiB and 64 MiB
};

const Limits& limits(const kernels::Set& set);

// Seconds until one load, in no order over so many bytes, has come: nothing else is under way meanwhile.
double latency(int64_t bytes);

// Ends the program unless `proved`: a wrong answer is not timed.
void require(bool proved, const char* what);

// Work of one iteration on one thread, as rates and as shares of the limits.
struct Work {
    double items, flops, bytes;
};
void report(benchmark::State& state, const Work& work, const Limits& limits, double Limits::*bandwidth);

// Registers run(state, set) as name/SET for every set of this machine, each with `arguments`.
template <class Run>
void register_sets(const std::string& name, const std::vector<int64_t>& arguments, const Run& run) {
    for (const kernels::Set* set : test::supported_sets()) {
        auto* const registered = benchmark::RegisterBenchmark(
            (name + "/" + set->name).c_str(), [run, set](benchmark::State& state) { run(state, *set); });
        for (const int64_t argument : arguments) registered->Arg(argument);
    }
}

}  // namespace mcfast::bench
