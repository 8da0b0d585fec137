#include "rank/trainer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "parallel.h"
#include "rank/order.h"

namespace mcfast::rank {
namespace {

constexpr float initial_noise = 0.3f;     // times 1 / sqrt(factors)
constexpr int64_t grain = 64;             // rows updated at a time
constexpr double temperature_rate = 0.1;  // of the learning rate, for the logarithm of the temperature
constexpr double least_temperature = 1e-2, largest_temperature = 1e2;
constexpr auto poll_interval = std::chrono::milliseconds(100);

std::vector<int64_t> count(const std::vector<int32_t>& rows, int32_t n) {
    std::vector<int64_t> out(static_cast<size_t>(n));
    for (const int32_t row : rows) ++out[static_cast<size_t>(row)];
    return out;
}

double dot(const float* a, const float* b, int64_t width) { return kernels::active().score->dot(a, b, width); }

}  // namespace

Trainer::Trainer(const Positives& p, const Lists& given, std::optional<Parts> of_users, std::optional<Parts> of_items,
                 const Options& options)
    : options_(options),
      width_(kernels::padded(options.factors)),
      users_side_(p.n_users, std::move(of_users), width_, options.cosine),
      items_side_(p.n_items, std::move(of_items), width_, options.cosine),
      users_(p.users, p.users + p.n),
      items_(p.items, p.items + p.n),
      given_(given),
      state_{users_side_.table(options.factors, options.optimizer),
             items_side_.table(options.factors, options.optimizer), -std::log(options.temperature), 0},
      results_(static_cast<size_t>((std::min(options.batch, p.n) + tile_rows - 1) / tile_rows)) {
    const std::vector<int64_t> user_counts = count(users_, p.n_users), item_counts = count(items_, p.n_items);
    const float noise = initial_noise / std::sqrt(static_cast<float>(options.factors));
    users_side_.initialise(state_.users, user_counts, noise, options.seed, Stream::user_factors, options.threads);
    items_side_.initialise(state_.items, item_counts, noise, options.seed, Stream::item_factors, options.threads);
    keep_ = kept(item_counts, p.n, options.subsampling);
    std::vector<double> expected(keep_);
    for (size_t i = 0; i < expected.size(); ++i) expected[i] *= static_cast<double>(item_counts[i]);
    sampler_.emplace(options.negatives, expected, options.seed);
    for (Result& result : results_) {
        result.users = Buffer<float>(users_side_.room(tile_rows) * width_);
        result.items = Buffer<float>((tile_rows + kernels::padded(sampler_->size())) * width_);
        result.of_users = users_side_.composition();
        result.of_items = items_side_.composition();
    }
    if (options.hide_known || sampler_->hard() > 0) known_ = lists(p.users, p.items, p.n, p.n_users);
}

double Trainer::temperature() const { return std::exp(-state_.log_scale); }

double Trainer::epoch(uint32_t number, float learning_rate, int threads, const std::function<void(int64_t)>& poll) {
    shuffle(items_, keep_, options_.seed, number, order_);
    const auto n = static_cast<int64_t>(order_.size());
    const double rate = temperature_rate * learning_rate;
    std::vector<Desk> desks(static_cast<size_t>(threads));
    Step step{number, 0, {}, {}};
    double loss = 0;
    auto polled = std::chrono::steady_clock::now();
    for (int64_t first = 0; first < n; first += options_.batch) {
        const int64_t size = std::min(options_.batch, n - first), tiles = (size + tile_rows - 1) / tile_rows;
        if (users_side_.with_histories())  // neighbours share the sum of their history
            std::stable_sort(order_.begin() + first, order_.begin() + first + size, [&](int64_t a, int64_t b) {
                return users_[static_cast<size_t>(a)] < users_[static_cast<size_t>(b)];
            });
        step.users.resize(static_cast<size_t>(size));
        step.items.resize(static_cast<size_t>(size));
        for (int64_t i = 0; i < size; ++i) {
            const auto positive = static_cast<size_t>(order_[static_cast<size_t>(first + i)]);
            step.users[static_cast<size_t>(i)] = users_[positive];
            step.items[static_cast<size_t>(i)] = items_[positive];
        }
        std::atomic<int64_t> next{0};
        parallel::run(static_cast<int>(std::min<int64_t>(threads, tiles)), [&](int worker) {
            for (int64_t tile; (tile = next.fetch_add(1)) < tiles;)
                compute(step, tile, results_[static_cast<size_t>(tile)], desks[static_cast<size_t>(worker)]);
        });
        std::atomic<int> side{0};
        parallel::run(std::min(threads, 2), [&](int) {
            for (int which; (which = side.fetch_add(1)) < 2;) collect(step, tiles, which == 0);
        });
        update(users_side_, state_.users, of_users_, options_.user_l2, learning_rate, threads);
        update(items_side_, state_.items, of_items_, options_.item_l2, learning_rate, threads);
        double slope = 0;
        for (int64_t tile = 0; tile < tiles; ++tile) {
            loss += results_[static_cast<size_t>(tile)].loss;
            slope += results_[static_cast<size_t>(tile)].scale_slope;
        }
        if (options_.learn_temperature && slope != 0) {
            state_.scale_squares += slope * slope;
            state_.log_scale = std::clamp(state_.log_scale - rate * slope / std::sqrt(state_.scale_squares),
                                          -std::log(largest_temperature), -std::log(least_temperature));
        }
        step.first_tile += static_cast<uint32_t>(tiles);
        if (const auto now = std::chrono::steady_clock::now(); now - polled >= poll_interval) {
            polled = now;
            poll(first + size);
        }
    }
    if (!std::isfinite(loss) || !state_.users.finite(threads) || !state_.items.finite(threads))
        return std::numeric_limits<double>::quiet_NaN();
    return loss / static_cast<double>(std::max<int64_t>(n, 1));
}

void Trainer::compute(const Step& step, int64_t tile, Result& to, Desk& desk) {
    const int64_t first = tile * tile_rows;
    const int64_t rows = std::min(tile_rows, static_cast<int64_t>(step.users.size()) - first);
    const int64_t columns = sampler_->size(), stride = kernels::padded(columns);
    if (desk.users.size() == 0) {
        desk.vectors = Buffer<float>(users_side_.room(tile_rows) * width_);
        desk.users = Buffer<float>(tile_rows * width_);
        desk.items = Buffer<float>((tile_rows + stride) * width_);
        desk.row_corrections = Buffer<float>(tile_rows);
        desk.transposed = Buffer<float>(stride * width_);
        desk.scores = Buffer<float>(kernels::strip_rows * stride);
        desk.of_pool = items_side_.composition();
    }
    const uint32_t number = step.first_tile + static_cast<uint32_t>(tile);
    const int32_t *const users = step.users.data() + first, *const items = step.items.data() + first;
    if (users_side_.composed()) desk.dropped_users = drop(step.epoch, number, 0, rows);
    users_side_.gather(state_.users, users, desk.dropped_users.data(), items, rows, to.of_users, desk.user_places,
                       desk.vectors.data());
    scale(step, first, rows, desk.vectors.data(), desk.users.data());
    if (sampler_->hard() > 0) {
        if (!desk.miner) desk.miner.emplace(options_.pool, options_.seed);
        const Read read = [&](const int32_t* pool, int64_t n, float* vectors) {
            items_side_.gather(state_.items, pool, nullptr, nullptr, n, desk.of_pool, desk.item_places, vectors);
        };
        if (given_.empty())
            desk.miner->mine(step.epoch, number, sampler_->hard(), users, desk.users.data(), rows, items_side_.n_rows(),
                             read, width_, known_, desk.hard);
        else
            pick(step.epoch, number, sampler_->hard(), users, rows, items_side_.n_rows(), given_, options_.seed,
                 desk.hard);
    }
    sampler_->draw(step.epoch, number, step.items.data(), static_cast<int64_t>(step.items.size()), first, desk.hard,
                   to.drawn);
    hide(step, first, rows, to.drawn, desk);
    for (int64_t r = 0; r < rows; ++r) {
        const auto at = static_cast<size_t>(r);
        desk.row_corrections[r] =
            sampler_->row_correction(items[r], columns - (desk.hidden_indptr[at + 1] - desk.hidden_indptr[at]));
    }
    desk.item_rows.assign(items, items + rows);
    desk.item_rows.insert(desk.item_rows.end(), to.drawn.items.begin(), to.drawn.items.end());
    if (items_side_.composed()) desk.dropped_items = drop(step.epoch, number, tile_rows, rows + columns);
    items_side_.gather(state_.items, desk.item_rows.data(), desk.dropped_items.data(), nullptr, rows + columns,
                       to.of_items, desk.item_places, desk.items.data());
    float* const negatives = desk.items.data() + rows * width_;
    std::fill_n(negatives + columns * width_, (stride - columns) * width_, 0.0f);
    const kernels::Tile work{rows,
                             columns,
                             width_,
                             desk.users.data(),
                             desk.items.data(),
                             negatives,
                             to.drawn.corrections.data(),
                             desk.row_corrections.data(),
                             desk.hidden_indptr.data(),
                             desk.hidden.data(),
                             to.users.data(),
                             to.items.data(),
                             to.items.data() + rows * width_,
                             desk.transposed.data(),
                             desk.scores.data()};
    to.loss = kernels::active().tile->tile(options_.loss)(work, options_.parameters);
    to.scale_slope = 0;
    if (options_.learn_temperature)  // a score is proportional to the user's vector, so this is sum_j slope_j score_j
        for (int64_t r = 0; r < rows; ++r)
            to.scale_slope += dot(desk.users.data() + r * width_, to.users.data() + r * width_, width_);
    scale_back(rows, desk.vectors.data(), desk.users.data(), to.users.data());
    backward(rows, desk, to);
}

// Takes gradients back to parameters. Of a composed vector the penalty is that of the whole.
void Trainer::backward(int64_t rows, const Desk& desk, Result& to) const {
    const auto add_penalty = [&](float l2, const float* vectors, float* gradients) {
        if (l2 == 0 || options_.cosine) return;
        for (int64_t k = 0; k < rows * width_; ++k) gradients[k] += l2 * vectors[k];
    };
    if (to.of_users) {
        add_penalty(options_.user_l2, desk.vectors.data(), to.users.data());
        to.of_users->backward(desk.vectors.data(), to.users.data());
    }
    if (to.of_items) {
        add_penalty(options_.item_l2, desk.items.data(), to.items.data());
        to.of_items->backward(desk.items.data(), to.items.data());
    }
}

// Lists what the tiles have found for the rows, or parameters, of a side.
void Trainer::collect(const Step& step, int64_t tiles, bool users) {
    Contributions& to = users ? of_users_ : of_items_;
    to.clear();
    const std::vector<int32_t>& positives = users ? step.users : step.items;
    for (int64_t tile = 0; tile < tiles; ++tile) {
        const Result& result = results_[static_cast<size_t>(tile)];
        if (const auto& composition = users ? result.of_users : result.of_items) {
            for (int64_t i = 0; i < composition->touched(); ++i) {
                const auto [by, gradient] = composition->slope(i);
                to.add({static_cast<uint32_t>(composition->parameter(i)), true, by, gradient});
            }
            continue;
        }
        const float* gradient = (users ? result.users : result.items).data();
        const auto end = std::min(static_cast<int64_t>(positives.size()), (tile + 1) * tile_rows);
        for (int64_t i = tile * tile_rows; i < end; ++i, gradient += width_)
            to.add({static_cast<uint32_t>(positives[static_cast<size_t>(i)]), true, 1, gradient});
        if (users) continue;
        for (const int32_t negative : result.drawn.items) {
            to.add({static_cast<uint32_t>(negative), false, 1, gradient});
            gradient += width_;
        }
    }
    to.sort(static_cast<int32_t>((users ? state_.users : state_.items).n_rows()));
}

// Which of n ids the default id stands in for, those from place `first` of a tile.
std::vector<uint8_t> Trainer::drop(uint32_t epoch, uint32_t tile, int64_t first, int64_t n) const {
    std::vector<uint8_t> out(static_cast<size_t>(n));
    for (int64_t i = 0; options_.id_dropout > 0 && i < n; i += 4) {
        const auto bits = philox(
            options_.seed, {static_cast<uint32_t>((first + i) / 4), tile, epoch, static_cast<uint32_t>(Stream::ids)});
        for (int64_t j = i; j < std::min(i + 4, n); ++j)
            out[static_cast<size_t>(j)] = bits[static_cast<size_t>(j - i)] < options_.id_dropout * 0x1p32;
    }
    return out;
}

// Finds the columns that each positive may not meet: its own item, or all positives of its user.
void Trainer::hide(const Step& step, int64_t first, int64_t rows, const Negatives& drawn, Desk& desk) const {
    desk.present.resize((static_cast<size_t>(items_side_.n_rows()) + 63) / 64);
    for (const int32_t item : drawn.items) desk.present[static_cast<size_t>(item) / 64] |= uint64_t{1} << (item % 64);
    desk.hidden_indptr.assign(1, 0);
    desk.hidden.clear();
    const auto hide_item = [&](int32_t item) {
        if (!(desk.present[static_cast<size_t>(item) / 64] >> (item % 64) & 1)) return;
        const auto [from, to] = std::equal_range(drawn.items.begin(), drawn.items.end(), item);
        for (auto at = from; at != to; ++at) desk.hidden.push_back(static_cast<int32_t>(at - drawn.items.begin()));
    };
    for (auto at = static_cast<size_t>(first); at < static_cast<size_t>(first + rows); ++at) {
        if (known_.empty())
            hide_item(step.items[at]);
        else
            std::for_each(known_.begin(step.users[at]), known_.end(step.users[at]), hide_item);
        desk.hidden_indptr.push_back(static_cast<int32_t>(desk.hidden.size()));
    }
    for (const int32_t item : drawn.items) desk.present[static_cast<size_t>(item) / 64] = 0;
}

// Users' vectors as scores are made of them: divided by the temperature, some entries left out; if cosine, the rest
// brought back to the unit sphere.
void Trainer::scale(const Step& step, int64_t first, int64_t rows, const float* vectors, float* to) const {
    const auto scale = static_cast<float>(std::exp(state_.log_scale));
    const auto threshold = static_cast<uint32_t>(options_.dropout * 0x1p16);
    std::copy_n(vectors, rows * width_, to);
    for (int64_t r = 0; r < rows; ++r, to += width_) {
        auto by = scale;
        if (threshold > 0) {
            const auto place = step.first_tile * static_cast<uint32_t>(tile_rows) + static_cast<uint32_t>(first + r);
            for (int64_t k = 0; k < width_; k += 8) {
                const auto bits = philox(options_.seed, {place, static_cast<uint32_t>(k / 8), step.epoch,
                                                         static_cast<uint32_t>(Stream::dropout)});
                for (int64_t i = 0; i < 8; ++i)
                    if ((bits[static_cast<size_t>(i / 2)] >> (i % 2 * 16) & 0xffff) < threshold) to[k + i] = 0;
            }
            if (options_.cosine)
                normalise(to, width_);
            else
                by /= static_cast<float>(1 - options_.dropout);
        }
        for (int64_t k = 0; k < width_; ++k) to[k] *= by;
    }
}

// Turns gradients by what scale() has made into gradients by the users' vectors.
void Trainer::scale_back(int64_t rows, const float* vectors, const float* scaled, float* gradients) const {
    const auto scale = static_cast<float>(std::exp(state_.log_scale));
    for (int64_t r = 0; r < rows; ++r, vectors += width_, scaled += width_, gradients += width_) {
        float by = scale;
        if (options_.dropout > 0) {
            float kept = 0, along = 0;
            for (int64_t k = 0; k < width_; ++k) {
                if (scaled[k] == 0)
                    gradients[k] = 0;  // left out
                else
                    kept += vectors[k] * vectors[k];
                along += gradients[k] * scaled[k];
            }
            if (options_.cosine && kept > 0) {
                by /= std::sqrt(kept);
                for (int64_t k = 0; k < width_; ++k) gradients[k] -= along / (scale * scale) * scaled[k];
            } else {
                by /= static_cast<float>(1 - options_.dropout);
            }
        }
        for (int64_t k = 0; k < width_; ++k) gradients[k] *= by;
    }
}

void Trainer::update(const Side& side, Table& table, const Contributions& contributions, float l2, float learning_rate,
                     int threads) {
    const Steps how{options_.optimizer, side.unit_table(), learning_rate};
    parallel::chunks(threads, contributions.groups(), grain, [&](int64_t, int64_t begin, int64_t end) {
        Buffer<float> sum(width_);
        for (int64_t group = begin; group < end; ++group) {
            const Contribution* const first = contributions.begin(group);
            const Contribution* const last = contributions.end(group);
            contributions.fetch(first, width_);
            for (int64_t k = 0; k < width_; ++k) sum[k] = first->by * first->gradient[k];
            for (const Contribution* c = first + 1; c < last; ++c) {
                contributions.fetch(c, width_);
                for (int64_t k = 0; k < width_; ++k) sum[k] += c->by * c->gradient[k];
            }
            if (l2 > 0 && !side.composed()) {
                const auto positives = std::count_if(first, last, [](const Contribution& c) { return c.positive; });
                const float strength = l2 * static_cast<float>(positives);
                const float* const x = table.row(first->row);
                for (int64_t k = 0; k < width_; ++k) sum[k] += strength * x[k];
            }
            table.step(first->row, sum.data(), how);
        }
    });
}

void Trainer::checkpoint(int threads) {
    if (!saved_) {
        saved_.emplace(State{users_side_.table(options_.factors, options_.optimizer),
                             items_side_.table(options_.factors, options_.optimizer), 0, 0});
    }
    saved_->users.copy_from(state_.users, threads);
    saved_->items.copy_from(state_.items, threads);
    saved_->log_scale = state_.log_scale;
    saved_->scale_squares = state_.scale_squares;
}

void Trainer::restore(int threads) {
    state_.users.copy_from(saved_->users, threads);
    state_.items.copy_from(saved_->items, threads);
    state_.log_scale = saved_->log_scale;
    state_.scale_squares = saved_->scale_squares;
}

}  // namespace mcfast::rank
