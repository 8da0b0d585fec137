#include "train/schedule.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "parallel.h"
#include "philox.h"

namespace mcfast::train {
namespace {

using Clock = std::chrono::steady_clock;

// Tasks done in one stripe; alone on its cache lines.
struct alignas(128) Done {
    std::atomic<int32_t> count{0};
};

// Spins for a moment, then sleeps: a waiter must not burn a processor that another process could use.
template <class Ready>
void wait(const Ready& ready) {
    constexpr auto spin = std::chrono::microseconds(20), nap = std::chrono::microseconds(50);
    const auto start = Clock::now();
    while (!ready())
        if (Clock::now() - start > spin) std::this_thread::sleep_for(nap);
}

}  // namespace

std::vector<Task> rounds(int32_t user_stripes, int32_t item_stripes, uint64_t seed, uint32_t epoch) {
    const int32_t n = std::max(user_stripes, item_stripes);
    std::vector<int32_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    for (int32_t i = n - 1; i > 0; --i) {
        const auto bits = philox(seed, {static_cast<uint32_t>(i), epoch, 0, static_cast<uint32_t>(Stream::rounds)})[0];
        std::swap(order[static_cast<size_t>(i)], order[below(bits, static_cast<uint32_t>(i + 1))]);
    }
    std::vector<int32_t> user_turns(static_cast<size_t>(user_stripes)), item_turns(static_cast<size_t>(item_stripes));
    std::vector<Task> tasks;
    tasks.reserve(static_cast<size_t>(user_stripes) * static_cast<size_t>(item_stripes));
    for (const int32_t r : order)
        for (int32_t c = 0; c < item_stripes; ++c) {
            const int32_t u = (c + r) % n;
            if (u < user_stripes)
                tasks.push_back({u, c, user_turns[static_cast<size_t>(u)]++, item_turns[static_cast<size_t>(c)]++});
        }
    return tasks;
}

void run(const std::vector<Task>& tasks, int threads, const std::function<void(const Task&)>& work,
         const std::function<void()>& poll) {
    int32_t user_stripes = 0, item_stripes = 0;
    for (const Task& task : tasks) {
        user_stripes = std::max(user_stripes, task.user_stripe + 1);
        item_stripes = std::max(item_stripes, task.item_stripe + 1);
    }
    std::vector<Done> user_done(static_cast<size_t>(user_stripes)), item_done(static_cast<size_t>(item_stripes));
    std::atomic<size_t> next{0};
    std::atomic<bool> stopped{false};

    // Tasks are taken in order, so what a task waits for is done or in another worker's hands: no number of threads
    // that the runtime may give leads to a deadlock.
    parallel::run(std::max(1, std::min(threads, std::min(user_stripes, item_stripes))), [&](int worker) {
        const auto is_stopped = [&] { return stopped.load(std::memory_order_relaxed); };
        auto last_poll = Clock::now();
        try {
            for (size_t i; !is_stopped() && (i = next.fetch_add(1)) < tasks.size();) {
                const Task& task = tasks[i];
                Done& user = user_done[static_cast<size_t>(task.user_stripe)];
                Done& item = item_done[static_cast<size_t>(task.item_stripe)];
                wait([&] {
                    return is_stopped() || (user.count.load(std::memory_order_acquire) == task.user_turn &&
                                            item.count.load(std::memory_order_acquire) == task.item_turn);
                });
                if (is_stopped()) break;
                work(task);
                user.count.store(task.user_turn + 1, std::memory_order_release);
                item.count.store(task.item_turn + 1, std::memory_order_release);
                if (worker == 0 && Clock::now() - last_poll > std::chrono::milliseconds(100)) {
                    poll();
                    last_poll = Clock::now();
                }
            }
        } catch (...) {
            stopped.store(true, std::memory_order_relaxed);
            throw;
        }
    });
}

}  // namespace mcfast::train
