// How well the schedule would keep many threads busy: times every block on one thread, then replays the schedule of an
// epoch with those times. simulate_schedule DIR [factors], DIR as bench/problems.py writes it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "train/grid.h"
#include "train/schedule.h"
#include "train/state.h"

namespace mcfast::bench {
namespace {

template <class T>
std::vector<T> read(const std::string& path) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in) throw std::runtime_error("cannot read " + path);
    std::vector<T> out(static_cast<size_t>(in.tellg()) / sizeof(T));
    in.seekg(0);
    in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size() * sizeof(T)));
    return out;
}

int32_t rows(const std::vector<int32_t>& of) { return *std::max_element(of.begin(), of.end()) + 1; }

// Workers take the runs of tasks in order; one that holds a task waits for those before it in its stripes.
double makespan(const std::vector<train::Task>& tasks, const std::vector<double>& seconds, size_t threads) {
    std::vector<double> worker(threads), user(tasks.size()), item(tasks.size());
    const std::vector<size_t> begins = train::runs(tasks);
    for (size_t r = 0; r + 1 < begins.size(); ++r) {
        double& free = *std::min_element(worker.begin(), worker.end());
        for (size_t i = begins[r]; i < begins[r + 1]; ++i) {
            double &u = user[static_cast<size_t>(tasks[i].user_stripe)],
                   &c = item[static_cast<size_t>(tasks[i].item_stripe)];
            free = u = c = std::max({free, u, c}) + seconds[i];
        }
    }
    return *std::max_element(worker.begin(), worker.end());
}

void simulate(const std::string& folder, int64_t factors) {
    const auto users = read<int32_t>(folder + "/u.bin"), items = read<int32_t>(folder + "/i.bin");
    const auto scores = read<float>(folder + "/y.bin");
    const train::Triples triples{users.data(), items.data(), scores.data(), static_cast<int64_t>(scores.size()),
                                 rows(users),  rows(items)};
    const int64_t width = kernels::padded(factors);
    train::Grid grid(triples, train::default_shape(triples.n, triples.n_users, triples.n_items, width), 3.5f, 1, 1);
    train::Side user_side(triples.n_users, width), item_side(triples.n_items, width);
    const auto start = [&](train::Side& side, const train::Axis& axis, Stream stream) {
        side.initialise(axis.position.data(), axis.counts.data(), factors, 0, 0.05f, false, 0, stream, 1);
    };
    start(user_side, grid.users(), Stream::user_factors);
    start(item_side, grid.items(), Stream::item_factors);

    const kernels::SgdTable& sgd = *kernels::active().sgd;
    for (train::Side* side : {&user_side, &item_side})
        sgd.measure(side->row(0), side->states.data(), side->n_rows, width);
    kernels::Step step{};
    step.factors = factors;
    step.width = width;
    step.learning_rate = step.bias_learning_rate = step.user_l2 = step.item_l2 = step.bias_l2 = 0.05f;
    const std::vector<train::Task> tasks = train::order(grid.users().stripes(), grid.items().stripes(), 0, 1);
    // The least of a few epochs, in time of the processor: what other processes take does not count.
    std::vector<double> seconds(tasks.size(), std::numeric_limits<double>::infinity());
    for (int epoch = 0; epoch < 3; ++epoch)
        for (size_t i = 0; i < tasks.size(); ++i) {
            kernels::Block block = grid.steps(grid.block(tasks[i].user_stripe, tasks[i].item_stripe)).block();
            const int32_t u = grid.users().cuts[static_cast<size_t>(tasks[i].user_stripe)];
            const int32_t c = grid.items().cuts[static_cast<size_t>(tasks[i].item_stripe)];
            block.user_factors = user_side.row(u);
            block.item_factors = item_side.row(c);
            block.user_states = user_side.states.data() + u;
            block.item_states = item_side.states.data() + c;
            const std::clock_t before = std::clock();
            sgd.block(kernels::Loss::squared, true, width)(block, step);
            seconds[i] = std::min(seconds[i], static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC);
        }
    std::vector<double> by_count;
    for (const train::Task& task : tasks)
        by_count.push_back(static_cast<double>(grid.size(grid.block(task.user_stripe, task.item_stripe))));
    std::printf("%d x %d blocks, K=%ld, %.2f s on one thread\n%8s %14s %22s\n", grid.users().stripes(),
                grid.items().stripes(), static_cast<long>(factors),
                std::accumulate(seconds.begin(), seconds.end(), 0.0), "threads", "measured times",
                "times by triples alone");
    const auto efficiency = [&](const std::vector<double>& times, size_t threads) {
        return std::accumulate(times.begin(), times.end(), 0.0) /
               (static_cast<double>(threads) * makespan(tasks, times, threads));
    };
    for (const size_t threads : {1, 2, 4, 16, 32, 64})
        std::printf("%8zu %14.3f %22.3f\n", threads, efficiency(seconds, threads), efficiency(by_count, threads));
}

}  // namespace
}  // namespace mcfast::bench

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "simulate_schedule DIR [factors]\n");
        return 2;
    }
    mcfast::bench::simulate(argv[1], argc > 2 ? std::atol(argv[2]) : 64);
}
