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

std::vector<int32_t> shuffled(int32_t n, uint64_t seed, uint32_t epoch, uint32_t side) {
    std::vector<int32_t> out(static_cast<size_t>(n));
    std::iota(out.begin(), out.end(), 0);
    for (int32_t i = n - 1; i > 0; --i) {
        const auto bits =
            philox(seed, {static_cast<uint32_t>(i), epoch, side, static_cast<uint32_t>(Stream::stripe_order)})[0];
        std::swap(out[static_cast<size_t>(i)], out[below(bits, static_cast<uint32_t>(i + 1))]);
    }
    return out;
}

}  // namespace

std::vector<Task> order(int32_t user_stripes, int32_t item_stripes, uint64_t seed, uint32_t epoch) {
    const auto users = shuffled(user_stripes, seed, epoch, 0), items = shuffled(item_stripes, seed, epoch, 1);
    std::vector<int32_t> user_turns(users.size()), item_turns(items.size());
    std::vector<Task> tasks;
    tasks.reserve(users.size() * items.size());
    const int32_t n = std::max(user_stripes, item_stripes);
    // Rounds r and item stripes c of one sum belong to one user stripe. A task waits for those of lower sums only, and
    // for those before it in its own.
    for (int32_t sum = 0; sum < n + item_stripes - 1; ++sum) {
        if (sum % n >= user_stripes) continue;
        const auto u = static_cast<size_t>(users[static_cast<size_t>(sum % n)]);
        for (int32_t c = std::min(sum, item_stripes - 1); c >= std::max(0, sum - n + 1); --c) {
            const auto i = static_cast<size_t>(items[static_cast<size_t>(c)]);
            tasks.push_back({static_cast<int32_t>(u), static_cast<int32_t>(i), user_turns[u]++, item_turns[i]++});
        }
    }
    return tasks;
}

std::vector<size_t> runs(const std::vector<Task>& tasks) {
    std::vector<size_t> begins;
    for (size_t i = 0; i < tasks.size(); ++i)
        if (i == 0 || tasks[i].user_stripe != tasks[i - 1].user_stripe) begins.push_back(i);
    begins.push_back(tasks.size());
    return begins;
}

void run(const std::vector<Task>& tasks, int threads, const std::function<void(const Task&)>& work,
         const std::function<void()>& poll) {
    int32_t user_stripes = 0, item_stripes = 0;
    for (const Task& task : tasks) {
        user_stripes = std::max(user_stripes, task.user_stripe + 1);
        item_stripes = std::max(item_stripes, task.item_stripe + 1);
    }
    std::vector<Done> user_done(static_cast<size_t>(user_stripes)), item_done(static_cast<size_t>(item_stripes));
    const std::vector<size_t> begins = runs(tasks);
    std::atomic<size_t> next{0};
    std::atomic<bool> stopped{false};

    // Runs are taken in order, so what a task waits for is done or in another worker's hands: no number of threads
    // that the runtime may give leads to a deadlock.
    parallel::run(std::max(1, std::min(threads, std::min(user_stripes, item_stripes))), [&](int worker) {
        const auto is_stopped = [&] { return stopped.load(std::memory_order_relaxed); };
        auto last_poll = Clock::now();
        try {
            for (size_t r; (r = next.fetch_add(1)) + 1 < begins.size();)
                for (size_t i = begins[r]; i < begins[r + 1]; ++i) {
                    const Task& task = tasks[i];
                    Done& user = user_done[static_cast<size_t>(task.user_stripe)];
                    Done& item = item_done[static_cast<size_t>(task.item_stripe)];
                    wait([&] {
                        return is_stopped() || (user.count.load(std::memory_order_acquire) == task.user_turn &&
                                                item.count.load(std::memory_order_acquire) == task.item_turn);
                    });
                    if (is_stopped()) return;
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
