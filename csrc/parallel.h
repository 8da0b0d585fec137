// Threads. The only place that knows OpenMP; the rest of the core asks here.
#pragma once

#include <cstdint>
#include <functional>

namespace mcfast::parallel {

// "openmp", or "threads" (std::thread: sanitizer builds, and macOS, where a second OpenMP runtime aborts).
const char* backend();

// Threads this process may use: the smallest of affinity, cgroup quota and OMP_NUM_THREADS.
int available();

// Calls fn(worker) for worker = 0 .. threads-1. Worker 0 is the caller. The runtime may give fewer threads at a time,
// so a worker must never wait for one with a higher number. The first exception is rethrown to the caller.
void run(int threads, const std::function<void(int)>& fn);

// Calls fn(chunk, begin, end) for consecutive chunks of `grain` elements of 0 .. n. The cut depends on n and grain
// alone.
void chunks(int threads, int64_t n, int64_t grain, const std::function<void(int64_t, int64_t, int64_t)>& fn);

}  // namespace mcfast::parallel
