#include "train/grid.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "memory.h"
#include "parallel.h"
#include "philox.h"

namespace mcfast::train {
namespace {

constexpr int64_t max_stripe_bytes = 512 << 10;  // item factors: half of a common L2 cache
constexpr int64_t min_block_triples = 8000;      // below that a block costs more to start than to train
constexpr int64_t usual_user_stripes = 64, usual_item_stripes = 32;
constexpr int64_t max_stripes = 1 << 16;        // their numbers have 16 bits
constexpr int64_t max_part = int64_t{1} << 31;  // of the triples, counted in 32 bits
constexpr int64_t min_user_stripes = 16;        // many items, few triples: still work for this many threads

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Shuffles the rows and cuts them into about `stripes` runs with about equal numbers of triples.
Axis make_axis(std::vector<int64_t> count, int64_t n, int64_t stripes, int64_t max_rows, Stream stream) {
    const int64_t n_rows = static_cast<int64_t>(count.size());
    stripes = std::min(stripes, max_stripes / 2);
    max_rows = std::max(max_rows, ceil_div(n_rows, max_stripes / 2));
    std::vector<int32_t> order(static_cast<size_t>(n_rows));
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = n_rows - 1; i > 0; --i) {
        const uint32_t bits = philox(0, {static_cast<uint32_t>(i), 0, 0, static_cast<uint32_t>(stream)})[0];
        std::swap(order[static_cast<size_t>(i)], order[below(bits, static_cast<uint32_t>(i + 1))]);
    }
    Axis axis;
    axis.position.resize(static_cast<size_t>(n_rows));
    axis.cuts.push_back(0);
    int64_t seen = 0, before = 0;  // triples up to here, and before the present stripe
    for (int64_t place = 0; place < n_rows; ++place) {
        const int32_t row = order[static_cast<size_t>(place)];
        axis.position[static_cast<size_t>(row)] = static_cast<int32_t>(place);
        seen += count[static_cast<size_t>(row)];
        // A fair part of what was left at the last cut, so that a heavy row does not starve the stripes after it.
        const int64_t left = stripes + 1 - static_cast<int64_t>(axis.cuts.size());
        const bool due = left > 1 && (seen - before) * left >= n - before;
        const bool full = place + 1 - axis.cuts.back() >= max_rows;
        if ((due || full) && place + 1 < n_rows) {
            axis.cuts.push_back(static_cast<int32_t>(place + 1));
            before = seen;
        }
    }
    axis.cuts.push_back(static_cast<int32_t>(n_rows));
    axis.counts = std::move(count);
    return axis;
}

// Where a row is.
struct Local {
    uint16_t stripe, row;
};

std::vector<Local> locals(const Axis& axis) {
    std::vector<Local> of_place(axis.position.size()), out(axis.position.size());
    for (int32_t s = 0; s < axis.stripes(); ++s)
        for (int32_t first = axis.cuts[static_cast<size_t>(s)], place = first;
             place < axis.cuts[static_cast<size_t>(s) + 1]; ++place)
            of_place[static_cast<size_t>(place)] = {static_cast<uint16_t>(s), static_cast<uint16_t>(place - first)};
    for (size_t r = 0; r < out.size(); ++r) out[r] = of_place[static_cast<size_t>(axis.position[r])];
    return out;
}

// A triple of a stripe of users.
struct __attribute__((packed)) Gathered {
    int32_t item;  // row
    float score;
    uint16_t user;  // local
};

constexpr int64_t gathered_bytes = sizeof(Gathered), loose_bytes = sizeof(Loose), line = 64;
constexpr int64_t ahead = 4 * line;  // where a cursor writes soon: else a processor waits for each line in turn

// Where the next triple of a stripe of users goes.
struct Cursor {
    Gathered* triple;
    float* weight;  // null: 1
};

// Arguments by value: what a loop reads and writes must stand in registers, and no two threads may share its lines.
void gather(const Triples t, int64_t begin, int64_t end, const Local* users, float mean, float inverse,
            std::vector<Cursor> to) {
    Cursor* const cursors = to.data();
    for (int64_t i = begin; i < end; ++i) {
        const Local user = users[t.users[i]];
        Gathered*& triple = cursors[user.stripe].triple;
        __builtin_prefetch(reinterpret_cast<std::byte*>(triple) + ahead, 1);
        *triple++ = {t.items[i], (t.scores[i] - mean) * inverse, user.row};
    }
    if (t.weights)
        for (int64_t i = begin; i < end; ++i) *cursors[users[t.users[i]].stripe].weight++ = t.weights[i];
}

// How many triples a part of them has of each row.
struct Counts {
    std::vector<uint32_t> users, items;
};

}  // namespace

Shape default_shape(int64_t n, int64_t n_users, int64_t n_items, int64_t width) {
    const int64_t row_bytes = width * static_cast<int64_t>(sizeof(float));
    const int64_t for_cache = ceil_div(n_items * row_bytes, max_stripe_bytes);
    Shape shape{usual_user_stripes, std::max(usual_item_stripes, for_cache),
                std::min(max_stripe_rows, max_stripe_bytes / row_bytes)};
    const int64_t affordable = std::max<int64_t>(1, n / min_block_triples);
    if (shape.user_stripes * shape.item_stripes > affordable) {
        const auto side = static_cast<int64_t>(std::sqrt(static_cast<double>(affordable)));
        shape.item_stripes = std::max(std::min(usual_item_stripes, side), for_cache);
        shape.user_stripes =
            std::clamp(affordable / shape.item_stripes, std::min(min_user_stripes, side), usual_user_stripes);
    }
    shape.user_stripes = std::clamp<int64_t>(shape.user_stripes, 1, std::max<int64_t>(1, n_users));
    shape.item_stripes = std::clamp<int64_t>(shape.item_stripes, 1, std::max<int64_t>(1, n_items));
    return shape;
}

// Cuts the stripes of users into blocks, one stripe after the other; in a block the triples are sorted by user.
class Grid::Cutter {
public:
    Cutter(Grid& grid, const std::vector<Local>& items) : grid_(grid), items_(items), last_user_(items.size(), -1) {}

    // Of n triples; null weights: 1. The blocks replace the triples.
    void operator()(int32_t stripe, Gathered* gathered, const float* weights, int64_t n) {
        const auto s = static_cast<size_t>(stripe), first = static_cast<size_t>(grid_.block(stripe, 0));
        const auto n_stripes = static_cast<size_t>(grid_.items_.stripes());
        if (by_user_.size() < n) by_user_ = Buffer<Gathered>(n);
        if (weights && weights_by_user_.size() < n) weights_by_user_ = Buffer<float>(n);
        of_user_.assign(static_cast<size_t>(grid_.users_.cuts[s + 1] - grid_.users_.cuts[s] + 1), 0);
        of_stripe_.assign(n_stripes + 1, 0);
        // In registers, as far as they reach.
        int64_t *const of_user = of_user_.data(), *const of_stripe = of_stripe_.data();
        const Local* const items = items_.data();
        Gathered* const by_user = by_user_.data();
        float* const weights_by_user = weights_by_user_.data();
        for (int64_t i = 0; i < n; ++i) {
            ++of_user[gathered[i].user + 1];
            ++of_stripe[items[gathered[i].item].stripe + 1];
        }
        std::partial_sum(of_user_.begin(), of_user_.end(), of_user_.begin());
        std::partial_sum(of_stripe_.begin(), of_stripe_.end(), of_stripe_.begin());
        for (int64_t i = 0; i < n; ++i) {
            const int64_t to = of_user[gathered[i].user]++;
            by_user[to] = gathered[i];
            if (weights) weights_by_user[to] = weights[i];
        }

        // Each block has its share of the memory, which is more than its loose triples need.
        auto* const memory = reinterpret_cast<std::byte*>(gathered);
        const auto place = [](int64_t triple) { return ceil_div(triple * gathered_bytes, loose_bytes) * loose_bytes; };
        std::vector<Loose*> to;
        for (size_t c = 0; c < n_stripes; ++c) {
            Block& block = grid_.blocks_[first + c];
            block.memory = memory + place(of_stripe[c]);
            block.bytes = place(of_stripe[c + 1]) - place(of_stripe[c]);
            to.push_back(loose(block));
            grid_.offsets_[first + c + 1] = of_stripe[c + 1] - of_stripe[c];
            if (weights) block.weights.reserve(static_cast<size_t>(of_stripe[c + 1] - of_stripe[c]));
        }
        Loose** const next = to.data();
        int32_t* const last_user = last_user_.data();
        const int32_t first_user = grid_.users_.cuts[s];
        int64_t repeated = 0;
        for (int64_t i = 0; i < n; ++i) {
            const Gathered triple = by_user[i];
            const Local item = items[triple.item];
            *next[item.stripe]++ = Loose(triple.user, item.row, triple.score);
            repeated += std::exchange(last_user[triple.item], first_user + triple.user) == first_user + triple.user;
            if (weights) grid_.blocks_[first + item.stripe].weights.push_back(weights_by_user[i]);
        }
        repeated_ += repeated;
    }

    int64_t repeated() const { return repeated_; }

private:
    Grid& grid_;
    const std::vector<Local>& items_;
    std::vector<int32_t> last_user_;  // place of the last user that had an item
    std::vector<int64_t> of_user_, of_stripe_;
    Buffer<Gathered> by_user_;
    Buffer<float> weights_by_user_;
    int64_t repeated_ = 0;
};

const Steps& Grid::steps(int64_t number) {
    Block& block = blocks_[static_cast<size_t>(number)];
    if (block.laid_out) return block.steps;
    std::unique_ptr<Layout> layout;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!layouts_.empty()) {
            layout = std::move(layouts_.back());
            layouts_.pop_back();
        }
    }
    if (!layout) layout = std::make_unique<Layout>();
    const bool weighted = !block.weights.empty();
    const Steps steps = (*layout)(loose(block), weighted ? block.weights.data() : nullptr, size(number));
    const int64_t n = steps.n + kernels::steps_overrun;
    const bool fits = n * static_cast<int64_t>(sizeof(kernels::Samples)) <= block.bytes;
    if (!fits) block.samples = Buffer<kernels::Samples>(n);
    auto* const to = fits ? reinterpret_cast<kernels::Samples*>(block.memory) : block.samples.data();
    std::copy_n(steps.samples, n, to);
    block.stretches.assign(steps.stretches, steps.stretches + steps.n_stretches);
    if (weighted) block.weights.assign(steps.weights, steps.weights + steps.n * kernels::lanes);
    block.steps = {to, steps.n, block.stretches.data(), steps.n_stretches, weighted ? block.weights.data() : nullptr};
    block.laid_out = true;
    const std::lock_guard<std::mutex> lock(mutex_);
    layouts_.push_back(std::move(layout));
    if (--n_loose_ == 0) layouts_.clear();
    return block.steps;
}

Grid::Grid(const Triples& t, Shape wanted, float mean, float scale, int threads) {
    // Each part of the triples counts, then writes behind the parts before it: a stable sort, which does not depend on
    // the number of parts.
    const int64_t n_rows = static_cast<int64_t>(t.n_users) + t.n_items;
    const int64_t parts = std::max(std::clamp<int64_t>(t.n / n_rows, 1, threads), ceil_div(t.n, max_part));
    const int64_t part_size = std::max<int64_t>(1, ceil_div(t.n, parts));
    std::vector<Counts> counts(static_cast<size_t>(parts));
    parallel::chunks(threads, t.n, part_size, [&](int64_t part, int64_t begin, int64_t end) {
        Counts count{std::vector<uint32_t>(static_cast<size_t>(t.n_users)),
                     std::vector<uint32_t>(static_cast<size_t>(t.n_items))};
        for (int64_t i = begin; i < end; ++i) {
            ++count.users[static_cast<size_t>(t.users[i])];
            ++count.items[static_cast<size_t>(t.items[i])];
        }
        counts[static_cast<size_t>(part)] = std::move(count);
    });
    parallel::chunks(threads, 2, 1, [&](int64_t side, int64_t, int64_t) {
        const auto total = [&](int32_t n, std::vector<uint32_t> Counts::*of) {
            std::vector<int64_t> sums(static_cast<size_t>(n));
            for (const Counts& part : counts)
                std::transform(sums.begin(), sums.end(), (part.*of).begin(), sums.begin(), std::plus<int64_t>());
            return sums;
        };
        if (side == 0)
            users_ = make_axis(total(t.n_users, &Counts::users), t.n, wanted.user_stripes, max_stripe_rows,
                               Stream::user_order);
        else
            items_ = make_axis(total(t.n_items, &Counts::items), t.n, wanted.item_stripes, wanted.item_rows,
                               Stream::item_order);
    });
    const std::vector<Local> user = locals(users_), item = locals(items_);

    const auto n_stripes = static_cast<size_t>(users_.stripes());
    std::vector<std::vector<int64_t>> size(counts.size(), std::vector<int64_t>(n_stripes));
    for (size_t p = 0; p < size.size(); ++p)
        for (size_t r = 0; r < user.size(); ++r) size[p][user[r].stripe] += counts[p].users[r];
    counts.clear();
    // A stripe begins with a line of the cache.
    memory_ = Buffer<std::byte>(t.n * gathered_bytes + line * users_.stripes());
    Buffer<float> weights(t.weights ? t.n : 0);
    std::vector<Cursor> begins;
    std::vector<int64_t> sizes;
    std::vector<std::vector<Cursor>> to(size.size());
    std::byte* memory = memory_.data();
    float* weight = t.weights ? weights.data() : nullptr;
    for (size_t s = 0; s < n_stripes; ++s) {
        begins.push_back({reinterpret_cast<Gathered*>(memory), weight});
        int64_t n = 0;
        for (size_t p = 0; p < size.size(); ++p) {
            to[p].push_back({begins[s].triple + n, weight ? weight + n : nullptr});
            n += size[p][s];
        }
        sizes.push_back(n);
        memory += ceil_div(n * gathered_bytes, line) * line;
        if (weight) weight += n;
    }
    parallel::chunks(threads, t.n, part_size, [&](int64_t part, int64_t begin, int64_t end) {
        gather(t, begin, end, user.data(), mean, 1.0f / scale, to[static_cast<size_t>(part)]);
    });

    const int64_t n_blocks = users_.stripes() * static_cast<int64_t>(items_.stripes());
    offsets_.assign(static_cast<size_t>(n_blocks) + 1, 0);
    blocks_.resize(static_cast<size_t>(n_blocks));
    n_loose_ = n_blocks;
    std::atomic<int32_t> next{0};
    std::atomic<int64_t> repeated{0};
    parallel::run(std::min(threads, users_.stripes()), [&](int) {
        Cutter cut(*this, item);
        for (int32_t s; (s = next.fetch_add(1)) < users_.stripes();) {
            const Cursor& first = begins[static_cast<size_t>(s)];
            cut(s, first.triple, first.weight, sizes[static_cast<size_t>(s)]);
        }
        repeated += cut.repeated();
    });
    repeated_ = repeated;
    std::partial_sum(offsets_.begin(), offsets_.end(), offsets_.begin());
}

}  // namespace mcfast::train
