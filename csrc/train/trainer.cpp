#include "train/trainer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "parallel.h"
#include "train/denormals.h"
#include "train/schedule.h"

namespace mcfast::train {
namespace {

constexpr int64_t grain = 4096;        // rows a chunk of a reduction
constexpr float bias_shrinkage = 10;   // triples of value 0 added to each row before its mean is taken
constexpr float initial_noise = 0.3f;  // times 1 / sqrt(factors)

// fn(begin, end) of each chunk of 0 .. n, added in order.
template <class Fn>
double ordered_sum(int threads, int64_t n, const Fn& fn) {
    std::vector<double> parts(static_cast<size_t>((n + grain - 1) / grain));
    parallel::chunks(threads, n, grain, [&](int64_t chunk, int64_t begin, int64_t end) {
        parts[static_cast<size_t>(chunk)] = fn(begin, end);
    });
    return std::accumulate(parts.begin(), parts.end(), 0.0);
}

void import_rows(Side& side, const Axis& axis, int64_t n_factors, const int32_t* rows, int64_t n, const float* factors,
                 int64_t stride, const float* biases, double scale) {
    const auto factor_scale = static_cast<float>(1 / std::sqrt(scale)), bias_scale = static_cast<float>(1 / scale);
    for (int64_t i = 0; i < n; ++i) {
        const int32_t place = axis.position[static_cast<size_t>(rows[i])];
        for (int64_t k = 0; k < n_factors; ++k) side.row(place)[k] = factors[i * stride + k] * factor_scale;
        if (biases) side.states[place].bias = biases[i] * bias_scale;
    }
}

void export_rows(const Side& side, const Axis& axis, double scale, Rows to, int threads) {
    const auto factor_scale = static_cast<float>(std::sqrt(scale)), bias_scale = static_cast<float>(scale);
    parallel::chunks(threads, side.n_rows, grain, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
            const int32_t place = axis.position[static_cast<size_t>(r)];
            const float* const from = side.row(place);
            for (int64_t k = 0; k < side.width; ++k) to.factors[r * side.width + k] = from[k] * factor_scale;
            to.biases[r] = side.states[place].bias * bias_scale;
        }
    });
}

}  // namespace

Trainer::Trainer(const Triples& t, const Options& options)
    : options_(options),
      width_(kernels::padded(options.factors)),
      users_(t.n_users, width_),
      items_(t.n_items, width_) {
    const int threads = options.threads;
    const double n = static_cast<double>(t.n);
    const double mean = ordered_sum(threads, t.n,
                                    [&](int64_t begin, int64_t end) {
                                        return std::accumulate(t.scores + begin, t.scores + end, 0.0);
                                    }) /
                        n;
    const double variance = ordered_sum(threads, t.n,
                                        [&](int64_t begin, int64_t end) {
                                            double sum = 0;
                                            for (int64_t i = begin; i < end; ++i)
                                                sum += (t.scores[i] - mean) * (t.scores[i] - mean);
                                            return sum;
                                        }) /
                            n;
    scale_ = variance > 0 ? std::sqrt(variance) : 1;
    mean_ = options.biases ? mean : 0;

    Shape shape = options.blocks;
    const Shape usual = default_shape(t.n, t.n_users, t.n_items, width_);
    if (shape.user_stripes <= 0) shape = usual;
    grid_.emplace(t, shape, static_cast<float>(mean_), static_cast<float>(scale_), threads);

    // Without biases the product of the first factors stands at the mean: otherwise the first epochs go into finding
    // it.
    const auto k = static_cast<float>(options.factors);
    const float noise = initial_noise / std::sqrt(k);
    const float centre = options.biases ? 0 : std::sqrt(std::fabs(static_cast<float>(mean / scale_)) / k);
    users_.initialise(grid_->users().position.data(), grid_->users().counts.data(), options.factors, centre, noise,
                      options.seed, Stream::user_factors, threads);
    items_.initialise(grid_->items().position.data(), grid_->items().counts.data(), options.factors,
                      mean < 0 ? -centre : centre, noise, options.seed, Stream::item_factors, threads);
    if (options.biases) initialise_biases(threads);
}

// Biases start as shrunken means: of the items first, then of what is left for the users.
void Trainer::initialise_biases(int threads) {
    const Grid& grid = *grid_;
    const auto start = [&](Side& side, const Axis& axis, bool is_user) {
        parallel::chunks(threads, axis.stripes(), 1, [&](int64_t stripe, int64_t, int64_t) {
            const int32_t first = axis.cuts[static_cast<size_t>(stripe)],
                          last = axis.cuts[static_cast<size_t>(stripe) + 1];
            std::vector<double> sum(static_cast<size_t>(last - first)), count(sum.size());
            const Axis& other = is_user ? grid.items() : grid.users();
            for (int32_t o = 0; o < other.stripes(); ++o) {
                const auto s = static_cast<int32_t>(stripe);
                const int64_t block = is_user ? grid.block(s, o) : grid.block(o, s);
                const kernels::RowState* items =
                    items_.states.data() + (is_user ? other.cuts[static_cast<size_t>(o)] : 0);
                for (const kernels::Sample *x = grid.samples(block), *end = x + grid.size(block); x != end; ++x) {
                    const size_t row = is_user ? x->user : x->item;
                    sum[row] += is_user ? x->score - items[x->item].bias : x->score;
                    count[row] += 1;
                }
            }
            for (size_t r = 0; r < sum.size(); ++r)
                side.states[first + static_cast<int64_t>(r)].bias =
                    static_cast<float>(sum[r] / (count[r] + bias_shrinkage));
        });
    };
    start(items_, grid.items(), false);
    start(users_, grid.users(), true);
}

kernels::Block Trainer::block(const Grid& grid, int32_t user_stripe, int32_t item_stripe) {
    const int64_t b = grid.block(user_stripe, item_stripe);
    const int32_t user = grid.users().cuts[static_cast<size_t>(user_stripe)];
    const int32_t item = grid.items().cuts[static_cast<size_t>(item_stripe)];
    return {grid.samples(b),
            grid.size(b),
            users_.row(user),
            items_.row(item),
            users_.states.data() + user,
            items_.states.data() + item};
}

double Trainer::epoch(uint32_t number, float learning_rate, int threads, const std::function<void(int64_t)>& poll) {
    const Grid& grid = *grid_;
    const kernels::Step step{options_.factors, width_, learning_rate, options_.biases ? learning_rate : 0.0f,
                             options_.regularization};
    const kernels::BlockFn train = kernels::active().sgd->block(options_.loss, width_);
    std::vector<double> losses(static_cast<size_t>(grid.n_blocks()));
    std::atomic<int64_t> done{0};
    run(
        rounds(grid.users().stripes(), grid.items().stripes(), options_.seed, number), threads,
        [&](const Task& task) {
            const FlushDenormals flush;
            const kernels::Block b = block(grid, task.user_stripe, task.item_stripe);
            losses[static_cast<size_t>(grid.block(task.user_stripe, task.item_stripe))] = train(b, step);
            done.fetch_add(b.n_samples, std::memory_order_relaxed);
        },
        [&] { poll(done.load(std::memory_order_relaxed)); });
    const double loss = std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(grid.n_samples());
    if (!std::isfinite(loss) || !users_.finite(threads) || !items_.finite(threads))
        return std::numeric_limits<double>::quiet_NaN();
    return loss * scale_ * scale_;
}

void Trainer::checkpoint(int threads) {
    if (!saved_users_) {
        saved_users_.emplace(users_.n_rows, width_);
        saved_items_.emplace(items_.n_rows, width_);
    }
    saved_users_->copy_from(users_, threads);
    saved_items_->copy_from(items_, threads);
}

void Trainer::restore(int threads) {
    users_.copy_from(*saved_users_, threads);
    items_.copy_from(*saved_items_, threads);
}

double Trainer::squared_error(const Triples& t, int threads) const {
    const kernels::ScoreTable& score = *kernels::active().score;
    return ordered_sum(threads, t.n, [&](int64_t begin, int64_t end) {
        double sum = 0;
        for (int64_t i = begin; i < end; ++i) {
            const int32_t user = grid_->users().position[static_cast<size_t>(t.users[i])];
            const int32_t item = grid_->items().position[static_cast<size_t>(t.items[i])];
            const double bias = static_cast<double>(users_.states[user].bias) + items_.states[item].bias;
            const double error =
                t.scores[i] - mean_ - scale_ * (score.dot(users_.row(user), items_.row(item), width_) + bias);
            sum += error * error;
        }
        return sum;
    });
}

void Trainer::import_users(const int32_t* rows, int64_t n, const float* factors, int64_t stride, const float* biases) {
    import_rows(users_, grid_->users(), options_.factors, rows, n, factors, stride, biases, scale_);
}

void Trainer::import_items(const int32_t* rows, int64_t n, const float* factors, int64_t stride, const float* biases) {
    import_rows(items_, grid_->items(), options_.factors, rows, n, factors, stride, biases, scale_);
}

void Trainer::export_users(Rows to, int threads) const { export_rows(users_, grid_->users(), scale_, to, threads); }

void Trainer::export_items(Rows to, int threads) const { export_rows(items_, grid_->items(), scale_, to, threads); }

}  // namespace mcfast::train
