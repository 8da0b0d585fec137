#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

#ifdef _OPENMP
#include <omp.h>
#endif

namespace mcfast::parallel {
namespace {

// Keeps the first exception of a region.
class FirstException {
public:
    template <class Fn>
    void guard(Fn&& fn) noexcept {
        try {
            fn();
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!exception_) exception_ = std::current_exception();
        }
    }
    void rethrow() {
        if (exception_) std::rethrow_exception(exception_);
    }

private:
    std::mutex mutex_;
    std::exception_ptr exception_;
};

int affinity() {
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// The processor quota of the process's cgroup, rounded up; a large number where there is none.
int cgroup_quota() {
    constexpr int none = 1 << 20;
#ifdef __linux__
    const auto threads = [](double quota, double period) {
        return quota > 0 && period > 0 ? std::max(1, static_cast<int>(quota / period + 0.999)) : none;
    };
    std::string path = "/";
    std::ifstream self("/proc/self/cgroup");
    for (std::string line; std::getline(self, line);)
        if (line.rfind("0::", 0) == 0) path = line.substr(3);
    for (const std::string& file : {"/sys/fs/cgroup" + path + "/cpu.max", std::string("/sys/fs/cgroup/cpu.max")}) {
        std::ifstream in(file);
        std::string quota;
        double period = 0;
        if (in >> quota >> period) return quota == "max" ? none : threads(std::atof(quota.c_str()), period);
    }
    std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    double quota = 0, period = 0;
    if (quota_file >> quota && period_file >> period) return threads(quota, period);
#endif
    return none;
}

int omp_num_threads() {
    const char* text = std::getenv("OMP_NUM_THREADS");
    const int n = text ? std::atoi(text) : 0;
    return n > 0 ? n : 1 << 20;
}

#if defined(_OPENMP) && defined(__linux__)
// A forked child has no pool threads but an OpenMP runtime that believes in them, and hangs at its first region.
void release_pool() { omp_pause_resource_all(omp_pause_hard); }
[[maybe_unused]] const int registered = pthread_atfork(release_pool, nullptr, nullptr);
#endif

}  // namespace

const char* backend() {
#ifdef _OPENMP
    return "openmp";
#else
    return "threads";
#endif
}

int available() { return std::min({affinity(), cgroup_quota(), omp_num_threads()}); }

void run(int threads, const std::function<void(int)>& fn) {
    if (threads <= 1) return fn(0);
    FirstException first;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads)
    {
        // The runtime may give fewer threads than asked for; the rest of the workers run after them.
        const int given = omp_get_num_threads();
        for (int worker = omp_get_thread_num(); worker < threads; worker += given) first.guard([&] { fn(worker); });
    }
#else
    std::vector<std::thread> pool;
    pool.reserve(static_cast<size_t>(threads) - 1);
    first.guard([&] {
        for (int worker = 1; worker < threads; ++worker)
            pool.emplace_back([&, worker] { first.guard([&] { fn(worker); }); });
    });
    first.guard([&] { fn(0); });
    for (std::thread& thread : pool) thread.join();
#endif
    first.rethrow();
}

void chunks(int threads, int64_t n, int64_t grain, const std::function<void(int64_t, int64_t, int64_t)>& fn) {
    const int64_t count = (n + grain - 1) / grain;
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    run(static_cast<int>(std::min<int64_t>(threads, count)), [&](int) {
        for (int64_t c; !failed.load(std::memory_order_relaxed) && (c = next.fetch_add(1)) < count;) {
            try {
                fn(c, c * grain, std::min(n, (c + 1) * grain));
            } catch (...) {
                failed.store(true, std::memory_order_relaxed);
                throw;
            }
        }
    });
}

}  // namespace mcfast::parallel
