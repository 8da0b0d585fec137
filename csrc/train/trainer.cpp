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

// term(i) of 0 .. n, added chunk by chunk in the same order. Several chunks at a time: additions wait for each other.
template <class Term>
double sum_of(int threads, int64_t n, const Term& term) {
    constexpr int64_t at_once = 8;
    std::vector<double> parts(static_cast<size_t>((n + grain - 1) / grain));
    parallel::chunks(threads, n, at_once * grain, [&](int64_t group, int64_t begin, int64_t end) {
        double sums[at_once] = {};
        if (end - begin == at_once * grain)
            for (int64_t i = begin; i < begin + grain; ++i)
                for (int64_t c = 0; c < at_once; ++c) sums[c] += term(i + c * grain);
        else
            for (int64_t i = begin; i < end; ++i) sums[(i - begin) / grain] += term(i);
        for (int64_t c = 0; begin + c * grain < end; ++c) parts[static_cast<size_t>(group * at_once + c)] = sums[c];
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

kernels::Scores scores_of(kernels::Loss loss) {
    switch (loss) {
#define MCFAST_LOSS_CASE(name, type, scores) \
    case kernels::Loss::name: return kernels::Scores::scores;
        MCFAST_LOSSES(MCFAST_LOSS_CASE)
#undef MCFAST_LOSS_CASE
    }
    return kernels::Scores::ratings;
}

// The constant prediction that suits a mean score; away from infinity where all scores are equal.
double linked(kernels::Scores scores, double mean) {
    constexpr double least = 1e-3;
    switch (scores) {
        case kernels::Scores::labels: {
            const double p = std::clamp(mean, least, 1 - least);
            return std::log(p / (1 - p));
        }
        case kernels::Scores::counts: return std::log(std::max(mean, least));
        case kernels::Scores::signs: return 0;
        case kernels::Scores::ratings: break;
    }
    return mean;
}

// The part of a row's regularization that a triple of it has, in training order.
Buffer<float> shares(const Axis& axis) {
    Buffer<float> out(static_cast<int64_t>(axis.position.size()));
    for (size_t r = 0; r < axis.position.size(); ++r)
        out[axis.position[r]] = 1.0f / static_cast<float>(std::max<int64_t>(axis.counts[r], 1));
    return out;
}

}  // namespace

Trainer::Trainer(const Triples& t, const Options& options)
    : options_(options),
      width_(kernels::padded(options.factors)),
      users_(t.n_users, width_),
      items_(t.n_items, width_) {
    const int threads = options.threads;
    // The sum of term(weight, score).
    const auto sum = [&](const auto& term) {
        if (!t.weights) return sum_of(threads, t.n, [=](int64_t i) { return term(1.0, t.scores[i]); });
        return sum_of(threads, t.n, [=](int64_t i) { return term(static_cast<double>(t.weights[i]), t.scores[i]); });
    };
    total_weight_ = t.weights ? sum([](double weight, double) { return weight; }) : static_cast<double>(t.n);
    const double mean = sum([](double weight, double score) { return weight * score; }) / total_weight_;
    const double variance =
        sum([=](double weight, double score) { return weight * (score - mean) * (score - mean); }) / total_weight_;
    const bool ratings = scores_of(options.loss) == kernels::Scores::ratings;
    scale_ = ratings && variance > 0 ? std::sqrt(variance) : 1;
    const double base = linked(scores_of(options.loss), mean);
    mean_ = options.biases ? base : 0;
    plain_ = !t.weights && !options.by_row && !options.nonnegative && options.user_l1 == 0 && options.item_l1 == 0;

    Shape shape = options.blocks;
    const Shape usual = default_shape(t.n, t.n_users, t.n_items, width_);
    if (shape.user_stripes <= 0) shape = usual;
    grid_.emplace(t, shape, ratings ? static_cast<float>(mean_) : 0, static_cast<float>(scale_), threads);

    // Without biases the product of the first factors stands at the mean: otherwise the first epochs go into finding
    // it.
    const auto k = static_cast<float>(options.factors);
    const float noise = initial_noise / std::sqrt(k);
    const float centre = options.biases ? 0 : std::sqrt(std::fabs(static_cast<float>(base / scale_)) / k);
    users_.initialise(grid_->users().position.data(), grid_->users().counts.data(), options.factors, centre, noise,
                      options.nonnegative, options.seed, Stream::user_factors, threads);
    items_.initialise(grid_->items().position.data(), grid_->items().counts.data(), options.factors,
                      base < 0 ? -centre : centre, noise, options.nonnegative, options.seed, Stream::item_factors,
                      threads);
    if (options.biases && ratings) initialise_biases(t.weights, threads);
    if (options.by_row) {
        user_shares_ = shares(grid_->users());
        item_shares_ = shares(grid_->items());
    }
}

Trainer::~Trainer() {
    grid_.reset();
    trim();
}

// Biases start as shrunken means: of the items first, then of what is left for the users.
void Trainer::initialise_biases(bool weighted, int threads) {
    const Grid& grid = *grid_;
    const auto start = [&](Side& side, const Axis& axis, bool is_user) {
        std::vector<int64_t> counts(axis.counts.size());
        for (size_t r = 0; r < counts.size(); ++r) counts[static_cast<size_t>(axis.position[r])] = axis.counts[r];
        parallel::chunks(threads, axis.stripes(), 1, [&](int64_t stripe, int64_t, int64_t) {
            const int32_t first = axis.cuts[static_cast<size_t>(stripe)],
                          last = axis.cuts[static_cast<size_t>(stripe) + 1];
            std::vector<double> sum(static_cast<size_t>(last - first)), weights(weighted ? sum.size() : 0);
            const Axis& other = is_user ? grid.items() : grid.users();
            for (int32_t o = 0; o < other.stripes(); ++o) {
                const auto s = static_cast<int32_t>(stripe);
                const int64_t block = is_user ? grid.block(s, o) : grid.block(o, s);
                const kernels::RowState* items =
                    items_.states.data() + (is_user ? other.cuts[static_cast<size_t>(o)] : 0);
                grid.for_each(block, [&](uint16_t user, uint16_t item, float score, float weight) {
                    const size_t row = is_user ? user : item;
                    sum[row] += weight * (is_user ? score - items[item].bias : score);
                    if (weighted) weights[row] += weight;
                });
            }
            for (size_t r = 0; r < sum.size(); ++r) {
                const int64_t place = first + static_cast<int64_t>(r);
                const double total = weighted ? weights[r] : static_cast<double>(counts[static_cast<size_t>(place)]);
                side.states[place].bias = static_cast<float>(sum[r] / (total + bias_shrinkage));
            }
        });
    };
    start(items_, grid.items(), false);
    start(users_, grid.users(), true);
}

kernels::Block Trainer::block(int32_t user_stripe, int32_t item_stripe) {
    Grid& grid = *grid_;
    kernels::Block out = grid.steps(grid.block(user_stripe, item_stripe)).block();
    const int32_t user = grid.users().cuts[static_cast<size_t>(user_stripe)];
    const int32_t item = grid.items().cuts[static_cast<size_t>(item_stripe)];
    out.user_factors = users_.row(user);
    out.item_factors = items_.row(item);
    out.user_states = users_.states.data() + user;
    out.item_states = items_.states.data() + item;
    if (options_.by_row) {
        out.user_shares = user_shares_.data() + user;
        out.item_shares = item_shares_.data() + item;
    }
    return out;
}

double Trainer::epoch(uint32_t number, float learning_rate, int threads, const std::function<void(int64_t)>& poll) {
    const Grid& grid = *grid_;
    const kernels::SgdTable& sgd = *kernels::active().sgd;
    const kernels::Step step{options_.factors,
                             width_,
                             learning_rate,
                             options_.biases ? learning_rate : 0.0f,
                             scores_of(options_.loss) == kernels::Scores::ratings ? 0.0f : static_cast<float>(mean_),
                             options_.user_l2,
                             options_.item_l2,
                             options_.bias_l2,
                             options_.user_l1,
                             options_.item_l1,
                             options_.nonnegative};
    const kernels::BlockFn train = sgd.block(options_.loss, plain_, width_);
    for (Side* side : {&users_, &items_})
        parallel::chunks(threads, side->n_rows, grain, [&](int64_t, int64_t begin, int64_t end) {
            sgd.measure(side->row(begin), side->states.data() + begin, end - begin, width_);
        });
    std::vector<double> losses(static_cast<size_t>(grid.n_blocks()));
    std::atomic<int64_t> done{0};
    run(
        order(grid.users().stripes(), grid.items().stripes(), options_.seed, number), threads,
        [&](const Task& task) {
            const FlushDenormals flush;
            const kernels::Block b = block(task.user_stripe, task.item_stripe);
            losses[static_cast<size_t>(grid.block(task.user_stripe, task.item_stripe))] = train(b, step);
            done.fetch_add(grid.size(grid.block(task.user_stripe, task.item_stripe)), std::memory_order_relaxed);
        },
        [&] { poll(done.load(std::memory_order_relaxed)); });
    const double loss = std::accumulate(losses.begin(), losses.end(), 0.0) / total_weight_;
    if (!std::isfinite(loss) || !users_.finite(threads) || !items_.finite(threads))
        return std::numeric_limits<double>::quiet_NaN();
    return loss * loss_scale();
}

double Trainer::loss_scale() const { return options_.loss == kernels::Loss::absolute ? scale_ : scale_ * scale_; }

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

void Trainer::drop_checkpoint() {
    saved_users_.reset();
    saved_items_.reset();
}

double Trainer::predicted(int32_t user_row, int32_t item_row) const {
    const int32_t user = grid_->users().position[static_cast<size_t>(user_row)];
    const int32_t item = grid_->items().position[static_cast<size_t>(item_row)];
    const double bias = static_cast<double>(users_.states[user].bias) + items_.states[item].bias;
    return kernels::active().score->dot(users_.row(user), items_.row(item), width_) + bias;
}

double Trainer::squared_error(const Triples& t, int threads) const {
    return ordered_sum(threads, t.n, [&](int64_t begin, int64_t end) {
        double sum = 0;
        for (int64_t i = begin; i < end; ++i) {
            const double error = t.scores[i] - mean_ - scale_ * predicted(t.users[i], t.items[i]);
            sum += error * error;
        }
        return sum;
    });
}

double Trainer::loss(const Triples& t, int threads) const {
    const bool ratings = scores_of(options_.loss) == kernels::Scores::ratings;
    const double centre = ratings ? mean_ : 0, offset = ratings ? 0 : mean_;
    return loss_scale() * ordered_sum(threads, t.n, [&](int64_t begin, int64_t end) {
               std::vector<float> scores, predictions;
               for (int64_t i = begin; i < end; ++i) {
                   scores.push_back(static_cast<float>((t.scores[i] - centre) / scale_));
                   predictions.push_back(static_cast<float>(predicted(t.users[i], t.items[i]) + offset));
               }
               return kernels::active().sgd->loss(options_.loss, scores.data(), predictions.data(), end - begin);
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
