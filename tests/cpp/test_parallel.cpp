#include "parallel.h"

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "support.h"

namespace mcfast::test {
namespace {

TEST(Parallel, RunCallsEveryWorkerOnce) {
    for (const int threads : {1, 2, 3, 7, 33}) {
        std::vector<int> calls(static_cast<size_t>(threads));
        const auto caller = std::this_thread::get_id();
        parallel::run(threads, [&](int worker) {
            ++calls[static_cast<size_t>(worker)];
            EXPECT_TRUE(worker != 0 || std::this_thread::get_id() == caller);
        });
        EXPECT_EQ(calls, std::vector<int>(static_cast<size_t>(threads), 1));
    }
}

TEST(Parallel, ChunksCoverTheRangeWhateverTheThreads) {
    for (const int64_t n : {0, 1, 99, 100, 101, 1234})
        for (const int threads : {1, 2, 7}) {
            std::vector<int> hits(static_cast<size_t>(n));
            parallel::chunks(threads, n, 100, [&](int64_t chunk, int64_t begin, int64_t end) {
                EXPECT_EQ(begin, chunk * 100);
                EXPECT_EQ(end, std::min(n, begin + 100));
                for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
            });
            EXPECT_EQ(hits, std::vector<int>(static_cast<size_t>(n), 1));
        }
}

TEST(Parallel, ExceptionsComeOutAndTheNextRegionWorks) {
    for (const int threads : {1, 2, 7}) {
        EXPECT_THROW(parallel::run(threads, [](int) { throw std::runtime_error("worker"); }), std::runtime_error);
        EXPECT_THROW(parallel::run(threads,
                                   [&](int worker) {
                                       if (worker == threads - 1) throw std::out_of_range("last worker");
                                   }),
                     std::out_of_range);
        std::atomic<int64_t> chunks{0};
        const auto work = [&](int64_t chunk, int64_t, int64_t) {
            ++chunks;
            if (chunk == 3) throw std::length_error("chunk");
        };
        EXPECT_THROW(parallel::chunks(threads, 1000000, 1, work), std::length_error);
        EXPECT_LT(chunks, 1000000);
        std::atomic<int> workers{0};
        parallel::run(threads, [&](int) { ++workers; });
        EXPECT_EQ(workers, threads);
    }
}

TEST(Parallel, RegionsMayNest) {
    std::atomic<int> calls{0};
    parallel::run(3, [&](int) { parallel::run(2, [&](int) { ++calls; }); });
    EXPECT_EQ(calls, 6);
}

// A pool of threads does not survive a fork; a child that believes in it hangs.
TEST(Parallel, ForkedChildCanRunRegions) {
    const auto region = [] {
        std::atomic<int> workers{0};
        parallel::run(3, [&](int) { ++workers; });
        return workers == 3;
    };
    ASSERT_TRUE(region());
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) _exit(region() ? 0 : 1);
    int status = -1;
    pid_t ended = 0;
    for (int i = 0; i < 1000 && ended == 0; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        ended = waitpid(child, &status, WNOHANG);
    }
    if (ended == 0) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        FAIL() << "the child hangs";
    }
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
    EXPECT_TRUE(region()) << "the parent lost its threads";
}

TEST(Parallel, AvailableThreadsAreBounded) {
    EXPECT_GE(parallel::available(), 1);
    EXPECT_LE(parallel::available(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace mcfast::test
