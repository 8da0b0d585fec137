#include "train/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>

#include "support.h"

namespace mcfast::test {
namespace {

using train::order;
using train::Task;

const auto no_poll = [] {};

TEST(Schedule, OrderHoldsEveryBlockOnceAndItsTurns) {
    for (const int32_t users : {1, 2, 7, 64})
        for (const int32_t items : {1, 3, 7, 32}) {
            std::set<std::pair<int32_t, int32_t>> seen;
            std::vector<int32_t> user_turns(static_cast<size_t>(users)), item_turns(static_cast<size_t>(items));
            for (const Task& task : order(users, items, 5, 1)) {
                EXPECT_TRUE(seen.emplace(task.user_stripe, task.item_stripe).second);
                EXPECT_EQ(task.user_turn, user_turns[static_cast<size_t>(task.user_stripe)]++);
                EXPECT_EQ(task.item_turn, item_turns[static_cast<size_t>(task.item_stripe)]++);
            }
            EXPECT_EQ(seen.size(), static_cast<size_t>(users * items));
        }
}

// Each user stripe has one run, or two.
TEST(Schedule, TasksOfAUserStripeStandTogether) {
    for (const auto& [users, items] : {std::pair(64, 32), std::pair(32, 64), std::pair(1, 5), std::pair(5, 1)}) {
        const std::vector<Task> tasks = order(users, items, 5, 1);
        const std::vector<size_t> begins = train::runs(tasks);
        EXPECT_LE(begins.size() - 1, static_cast<size_t>(2 * users));
        for (size_t r = 0; r + 1 < begins.size(); ++r)
            for (size_t i = begins[r]; i < begins[r + 1]; ++i)
                EXPECT_EQ(tasks[i].user_stripe, tasks[begins[r]].user_stripe);
        EXPECT_EQ(begins.back(), tasks.size());
    }
}

// With a thread for each stripe of the smaller side, all are at work from the first round to the last.
TEST(Schedule, NoThreadWaitsWhereBlocksTakeOneTime) {
    const std::vector<Task> tasks = order(64, 32, 5, 1);
    const std::vector<size_t> begins = train::runs(tasks);
    std::vector<int64_t> worker(32), user(64), item(32);
    for (size_t r = 0; r + 1 < begins.size(); ++r) {
        int64_t& clock = *std::min_element(worker.begin(), worker.end());
        for (size_t i = begins[r]; i < begins[r + 1]; ++i) {
            int64_t &u = user[static_cast<size_t>(tasks[i].user_stripe)],
                    &c = item[static_cast<size_t>(tasks[i].item_stripe)];
            clock = u = c = std::max({clock, u, c}) + 1;
        }
    }
    EXPECT_EQ(*std::max_element(worker.begin(), worker.end()), 64);
}

TEST(Schedule, SeedAndEpochShuffleTheOrder) {
    const auto stripes = [](uint64_t seed, uint32_t epoch) {
        std::vector<std::pair<int32_t, int32_t>> out;
        for (const Task& task : order(16, 8, seed, epoch)) out.emplace_back(task.user_stripe, task.item_stripe);
        return out;
    };
    EXPECT_EQ(stripes(1, 1), stripes(1, 1));
    EXPECT_NE(stripes(1, 1), stripes(2, 1));
    EXPECT_NE(stripes(1, 1), stripes(1, 2));
}

// The counters are plain: they are right, and no race, only if a task starts after those before it in both stripes.
TEST(Schedule, TasksWaitForTheirPredecessors) {
    for (const auto& [users, items] : {std::pair(9, 5), std::pair(1, 6), std::pair(6, 1), std::pair(3, 3)})
        for (const int threads : {1, 2, 3, 7, 20})
            for (uint32_t epoch = 0; epoch < 5; ++epoch) {
                std::vector<int32_t> user_done(static_cast<size_t>(users)), item_done(static_cast<size_t>(items));
                std::atomic<int> early{0};
                train::run(
                    order(users, items, 3, epoch), threads,
                    [&](const Task& task) {
                        int32_t& user = user_done[static_cast<size_t>(task.user_stripe)];
                        int32_t& item = item_done[static_cast<size_t>(task.item_stripe)];
                        if (user != task.user_turn || item != task.item_turn) ++early;
                        std::this_thread::yield();
                        ++user;
                        ++item;
                    },
                    no_poll);
                EXPECT_EQ(early, 0);
                for (const int32_t done : user_done) EXPECT_EQ(done, items);
                for (const int32_t done : item_done) EXPECT_EQ(done, users);
            }
}

TEST(Schedule, ExceptionOfATaskStopsTheRun) {
    for (const int threads : {1, 2, 7}) {
        std::atomic<int> begun{0};
        const auto work = [&](const Task& task) {
            ++begun;
            if (task.user_stripe == 4 && task.item_stripe == 2) throw std::runtime_error("task");
        };
        EXPECT_THROW(train::run(order(16, 16, 1, 1), threads, work, no_poll), std::runtime_error);
        EXPECT_LE(begun, 256);
    }
}

TEST(Schedule, PollIsCalledAndMayStopTheRun) {
    const auto main_thread = std::this_thread::get_id();
    for (const int threads : {1, 2}) {
        int polls = 0;
        std::atomic<int> begun{0};
        const auto work = [&](const Task&) {
            ++begun;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        };
        const auto poll = [&] {
            EXPECT_EQ(std::this_thread::get_id(), main_thread);
            if (++polls == 2) throw std::runtime_error("poll");
        };
        EXPECT_THROW(train::run(order(64, 32, 1, 1), threads, work, poll), std::runtime_error);
        EXPECT_EQ(polls, 2);
        EXPECT_LT(begun, 2048);
    }
}

}  // namespace
}  // namespace mcfast::test
