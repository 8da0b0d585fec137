#include "train/grid.h"

#include <algorithm>
#include <cmath>
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
constexpr int64_t min_user_stripes = 16;  // many items, few triples: still work for this many threads

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

std::vector<int64_t> counts(const int32_t* rows, int64_t n, int32_t n_rows) {
    std::vector<int64_t> count(static_cast<size_t>(n_rows), 0);
    for (int64_t i = 0; i < n; ++i) ++count[static_cast<size_t>(rows[i])];
    return count;
}

// Shuffles the rows and cuts them into about `stripes` runs with about equal numbers of triples.
Axis make_axis(std::vector<int64_t> count, int64_t n, int64_t stripes, int64_t max_rows, Stream stream) {
    const int64_t n_rows = static_cast<int64_t>(count.size());
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

// The stripe of each row, and its number inside the stripe.
struct Local {
    std::vector<int32_t> stripe;
    std::vector<uint16_t> row;
    explicit Local(const Axis& axis) : stripe(axis.position.size()), row(axis.position.size()) {
        std::vector<int32_t> of_place(axis.position.size());
        for (int32_t s = 0; s < axis.stripes(); ++s)
            std::fill(of_place.begin() + axis.cuts[static_cast<size_t>(s)],
                      of_place.begin() + axis.cuts[static_cast<size_t>(s) + 1], s);
        for (size_t r = 0; r < axis.position.size(); ++r) {
            const int32_t place = axis.position[r];
            stripe[r] = of_place[static_cast<size_t>(place)];
            row[r] = static_cast<uint16_t>(place - axis.cuts[static_cast<size_t>(stripe[r])]);
        }
    }
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

Grid::Grid(const Triples& t, Shape wanted, float mean, float scale, int threads) {
    parallel::chunks(threads, 2, 1, [&](int64_t side, int64_t, int64_t) {
        if (side == 0)
            users_ = make_axis(counts(t.users, t.n, t.n_users), t.n, wanted.user_stripes, max_stripe_rows,
                               Stream::user_order);
        else
            items_ = make_axis(counts(t.items, t.n, t.n_items), t.n, wanted.item_stripes, wanted.item_rows,
                               Stream::item_order);
    });
    const Local user(users_), item(items_);

    // A stable counting sort by block: each part of the triples counts, then writes behind the parts before it. The
    // result does not depend on the number of parts.
    const int64_t blocks = static_cast<int64_t>(users_.stripes()) * items_.stripes();
    const int64_t parts = std::clamp<int64_t>(t.n / blocks, 1, threads),
                  part_size = std::max<int64_t>(1, ceil_div(t.n, parts));
    const auto block_of = [&](int64_t i) {
        return block(user.stripe[static_cast<size_t>(t.users[i])], item.stripe[static_cast<size_t>(t.items[i])]);
    };
    std::vector<std::vector<int64_t>> at(static_cast<size_t>(parts),
                                         std::vector<int64_t>(static_cast<size_t>(blocks), 0));
    parallel::chunks(threads, t.n, part_size, [&](int64_t part, int64_t begin, int64_t end) {
        std::vector<int64_t>& count = at[static_cast<size_t>(part)];
        for (int64_t i = begin; i < end; ++i) ++count[static_cast<size_t>(block_of(i))];
    });
    offsets_.assign(static_cast<size_t>(blocks) + 1, 0);
    int64_t total = 0;
    for (size_t b = 0; b < static_cast<size_t>(blocks); ++b) {
        for (std::vector<int64_t>& part : at) total += std::exchange(part[b], total);
        offsets_[b + 1] = total;
    }
    const float inverse = 1.0f / scale;
    Buffer<Loose> loose(t.n);
    Buffer<float> loose_weights(t.weights ? t.n : 0);
    parallel::chunks(threads, t.n, part_size, [&](int64_t part, int64_t begin, int64_t end) {
        std::vector<int64_t>& to = at[static_cast<size_t>(part)];
        for (int64_t i = begin; i < end; ++i) {
            const int64_t place = to[static_cast<size_t>(block_of(i))]++;
            loose[place] = {user.row[static_cast<size_t>(t.users[i])], item.row[static_cast<size_t>(t.items[i])],
                            (t.scores[i] - mean) * inverse};
            if (t.weights) loose_weights[place] = t.weights[i];
        }
    });

    steps_.resize(static_cast<size_t>(blocks));
    parallel::chunks(threads, users_.stripes(), 1, [&](int64_t stripe, int64_t, int64_t) {
        const auto s = static_cast<size_t>(stripe);
        Layout layout;
        for (int32_t item_stripe = 0; item_stripe < items_.stripes(); ++item_stripe) {
            const auto b = static_cast<size_t>(block(static_cast<int32_t>(stripe), item_stripe));
            steps_[b] = layout(loose.data() + offsets_[b], t.weights ? loose_weights.data() + offsets_[b] : nullptr,
                               offsets_[b + 1] - offsets_[b], users_.cuts[s + 1] - users_.cuts[s]);
        }
    });
}

}  // namespace mcfast::train
