// Runs the blocks of a grid in parallel without barriers. A block starts when the blocks before it in its user stripe
// and in its item stripe are done, so every row meets its triples in one fixed order, whatever the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace mcfast::train {

struct Task {
    int32_t user_stripe, item_stripe;
    int32_t user_turn, item_turn;  // how many tasks come before it in each stripe
};

// The order of an epoch. Both sides' stripes are shuffled by (seed, epoch); then round r pairs item stripe c with user
// stripe (c + r) mod the larger side, so that all item stripes can be at work from the first moment to the last. Within
// what the rounds demand, tasks of one user stripe stand in a row: its factors stay in the cache meanwhile.
std::vector<Task> order(int32_t user_stripes, int32_t item_stripes, uint64_t seed, uint32_t epoch);

// Where the runs of tasks of one user stripe begin, and the end.
std::vector<size_t> runs(const std::vector<Task>& tasks);

// Calls work(task) for every task; a thread takes a whole run. poll() is called by the calling thread, between its
// tasks, up to ten times a second; an exception of either stops the run and is rethrown.
void run(const std::vector<Task>& tasks, int threads, const std::function<void(const Task&)>& work,
         const std::function<void()>& poll);

}  // namespace mcfast::train
