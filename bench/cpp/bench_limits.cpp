// The limits that the other benchmarks are held against: what one thread can load and compute at most.
#include <cstdio>

#include "limits.h"

int main() {
    using mcfast::bench::latency;
    std::printf("%-12s %14s %12s %12s %12s %12s\n", "set", "Gflop/s", "L1 GB/s", "L2 GB/s", "8 MiB GB/s",
                "64 MiB GB/s");
    for (const mcfast::kernels::Set* set : mcfast::test::supported_sets()) {
        const mcfast::bench::Limits& l = mcfast::bench::limits(*set);
        std::printf("%-12s %14.1f %12.1f %12.1f %12.1f %12.1f\n", set->name, l.flops / 1e9, l.l1_bytes / 1e9,
                    l.l2_bytes / 1e9, l.l3_bytes / 1e9, l.far_bytes / 1e9);
    }
    std::printf("%-12s %14s %12.1f %12.1f %12.1f %12.1f\n", "latency", "ns", latency(16 << 10) * 1e9,
                latency(256 << 10) * 1e9, latency(8 << 20) * 1e9, latency(64 << 20) * 1e9);
}
