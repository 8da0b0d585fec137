#include "recall/cut.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "parallel.h"
#include "recall/exact.h"

namespace mcfast::recall {
namespace {

constexpr int64_t samples = 64;  // items a region that k-means looks at
constexpr int rounds = 8;
// Items of one direction and about one score: few of the best, whose scores differ most, then more and more.
constexpr int64_t first_band = 32, last_band = 256;
constexpr int64_t least_share = 8;  // a region of a smaller part of the mean size than this is given up

// Rows of a sample without repeats, in random order.
std::vector<int32_t> sample(int64_t n, int64_t size, uint64_t seed) {
    std::vector<int32_t> rows(static_cast<size_t>(n));
    std::iota(rows.begin(), rows.end(), 0);
    std::mt19937_64 random(seed);
    for (int64_t i = 0; i < size; ++i) {
        const auto left = static_cast<uint64_t>(n - i);
        std::swap(rows[static_cast<size_t>(i)], rows[static_cast<size_t>(i) + random() % left]);
    }
    rows.resize(static_cast<size_t>(size));
    return rows;
}

struct Nearest {
    std::vector<int64_t> rows;
    std::vector<float> scores;
};

// The row of a few centres that each row scores most with, and the score.
Nearest nearest(const Buffer<float>& centres, const float* rows, int64_t n, int64_t width, Metric metric, int threads) {
    const Exact index({centres.data(), centres.size() / width, width, nullptr, metric}, threads);
    Nearest found{std::vector<int64_t>(static_cast<size_t>(n)), std::vector<float>(static_cast<size_t>(n))};
    std::vector<int64_t> counts(static_cast<size_t>(n));
    index.search(rows, n, 1, {}, threads, found.rows.data(), found.scores.data(), counts.data());
    return found;
}

// Gives the centres of the smallest regions to the largest, which are halved.
void balance(Buffer<float>& centres, std::vector<int64_t>& sizes, int64_t n, int64_t width) {
    const auto n_regions = static_cast<int64_t>(sizes.size());
    for (int64_t small = 0; small < n_regions; ++small) {
        if (sizes[static_cast<size_t>(small)] * n_regions * least_share >= n) continue;
        const auto large = std::max_element(sizes.begin(), sizes.end());
        if (*large < 2) return;
        const int64_t from = large - sizes.begin();
        for (int64_t k = 0; k < width; ++k) {
            const float x = centres[from * width + k], step = (k % 2 ? 1e-3f : -1e-3f) * x;
            centres[small * width + k] = x + step;
            centres[from * width + k] = x - step;
        }
        sizes[static_cast<size_t>(small)] = *large / 2;
        *large -= *large / 2;
    }
}

// For l2 the means of regions; for ip, where lengths are for later, directions, of unit length.
Buffer<float> kmeans(const Items& items, int64_t n_regions, uint64_t seed, int threads) {
    const int64_t width = items.width, size = std::min(items.n, samples * n_regions);
    const bool ip = items.metric == Metric::ip;
    const std::vector<int32_t> chosen = sample(items.n, size, seed);
    Buffer<float> rows(size * width), centres(n_regions * width);
    for (int64_t i = 0; i < size; ++i)
        std::copy_n(items.row(chosen[static_cast<size_t>(i)]), width, rows.data() + i * width);
    if (ip) unit_rows(rows.data(), size, width, threads, rows.data());
    std::copy_n(rows.data(), n_regions * width, centres.data());
    for (int round = 0; round < rounds; ++round) {
        const std::vector<int64_t> region = nearest(centres, rows.data(), size, width, items.metric, threads).rows;
        std::vector<double> sums(static_cast<size_t>(n_regions * width));
        std::vector<int64_t> sizes(static_cast<size_t>(n_regions));
        for (int64_t i = 0; i < size; ++i) {
            const int64_t r = region[static_cast<size_t>(i)];
            ++sizes[static_cast<size_t>(r)];
            for (int64_t k = 0; k < width; ++k) sums[static_cast<size_t>(r * width + k)] += rows[i * width + k];
        }
        for (int64_t r = 0; r < n_regions; ++r)
            for (int64_t k = 0; k < width && sizes[static_cast<size_t>(r)]; ++k)
                centres[r * width + k] =
                    static_cast<float>(sums[static_cast<size_t>(r * width + k)] / sizes[static_cast<size_t>(r)]);
        balance(centres, sizes, size, width);
        if (ip) unit_rows(centres.data(), n_regions, width, threads, centres.data());
    }
    return centres;
}

// The mean of some rows; for ip of unit length.
void middle(const Items& items, const int32_t* rows, int64_t n, float* to) {
    std::vector<double> mean(static_cast<size_t>(items.width));
    for (int64_t i = 0; i < n; ++i)
        for (int64_t k = 0; k < items.width; ++k) mean[static_cast<size_t>(k)] += items.row(rows[i])[k];
    for (int64_t k = 0; k < items.width; ++k)
        to[k] = static_cast<float>(mean[static_cast<size_t>(k)] / static_cast<double>(n));
    if (items.metric == Metric::ip) unit_rows(to, 1, items.width, 1, to);
}

// The ends of bands: of parts of a direction of n items, best first.
std::vector<int64_t> bands(int64_t n) {
    std::vector<int64_t> ends{0};
    // What would be less than half a band is left to the one before.
    for (int64_t band = first_band; n - ends.back() >= band + band / 2; band = std::min(2 * band, last_band))
        ends.push_back(ends.back() + band);
    ends.push_back(n);
    return ends;
}

Region describe(const Items& items, const int32_t* rows, int64_t n, int32_t direction, const float* along_which) {
    const double square = Items::dot(along_which, along_which, items.width);
    const double inverse = square > 0 ? 1 / square : 0;
    double parts = 0, part_squares = 0, squares = 0, offset = 0, offset_squares = 0;
    for (int64_t i = 0; i < n; ++i) {
        const double part = Items::dot(items.row(rows[i]), along_which, items.width) * inverse;
        const double by = items.scan_offset(rows[i]);
        parts += part;
        part_squares += part * part;
        squares += Items::dot(items.row(rows[i]), items.row(rows[i]), items.width);
        offset += by;
        offset_squares += by * by;
    }
    const auto count = static_cast<double>(n);
    const auto deviation = [&](double sum, double sum_of_squares) {
        return std::sqrt(std::max(sum_of_squares - sum * sum / count, 0.0) / count);
    };
    const double across =
        std::max(squares - part_squares * square, 0.0) / (count * static_cast<double>(items.width - 1));
    const bool ip = items.metric == Metric::ip;
    return {n,
            direction,
            static_cast<float>(parts / count),
            static_cast<float>(deviation(parts, part_squares) * std::sqrt(square)),
            static_cast<float>(std::sqrt(across)),
            static_cast<float>(offset / count),
            ip ? static_cast<float>(deviation(offset, offset_squares)) : 0};
}

// Sorts the items of a direction by what they score with a query whose part along it is `gain`, and cuts them into
// bands; for l2 they stay one region.
std::vector<Region> divide(const Items& items, int32_t* rows, int64_t n, int32_t direction, const float* along_which,
                           double gain) {
    if (items.metric == Metric::l2) return {describe(items, rows, n, direction, along_which)};
    std::vector<std::pair<double, int32_t>> by_score;  // minus the score, so that pairs sort as wanted
    for (int64_t i = 0; i < n; ++i) {
        const double part = Items::dot(items.row(rows[i]), along_which, items.width);
        by_score.emplace_back(-(gain * part + items.offset(rows[i])), rows[i]);
    }
    std::sort(by_score.begin(), by_score.end());
    for (int64_t i = 0; i < n; ++i) rows[i] = by_score[static_cast<size_t>(i)].second;
    std::vector<Region> regions;
    const std::vector<int64_t> ends = bands(n);
    for (size_t band = 1; band < ends.size(); ++band)
        regions.push_back(describe(items, rows + ends[band - 1], ends[band] - ends[band - 1], direction, along_which));
    return regions;
}

}  // namespace

Cut cut(const Items& items, const float* queries, int64_t n_queries, int64_t n_centres, uint64_t seed, int threads) {
    n_centres = std::min(n_centres, items.n);
    const std::vector<int64_t> nearest_centre =
        nearest(kmeans(items, n_centres, seed, threads), items.rows, items.n, items.width, items.metric, threads).rows;
    std::vector<int64_t> ends(static_cast<size_t>(n_centres) + 1);
    for (const int64_t r : nearest_centre) ++ends[static_cast<size_t>(r) + 1];
    std::partial_sum(ends.begin(), ends.end(), ends.begin());
    Cut out{std::vector<int32_t>(nearest_centre.size()), {}, {}};
    std::vector<int64_t> next(ends.begin(), ends.end() - 1);
    for (size_t i = 0; i < nearest_centre.size(); ++i)
        out.order[static_cast<size_t>(next[static_cast<size_t>(nearest_centre[i])]++)] = static_cast<int32_t>(i);
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());  // empty ones
    const auto n = static_cast<int64_t>(ends.size()) - 1;
    out.directions = Buffer<float>(n * items.width);
    const auto for_each = [&](const auto& fn) {  // fn(direction, its rows, their number, its vector)
        parallel::chunks(threads, n, 1, [&](int64_t d, int64_t, int64_t) {
            const int64_t begin = ends[static_cast<size_t>(d)], end = ends[static_cast<size_t>(d) + 1];
            fn(d, out.order.data() + begin, end - begin, out.directions.data() + d * items.width);
        });
    };
    for_each([&](int64_t, const int32_t* rows, int64_t count, float* to) { middle(items, rows, count, to); });
    double gain = 1;
    if (items.offsets && n) {
        const Nearest found = nearest(out.directions, queries, n_queries, items.width, items.metric, threads);
        gain = std::accumulate(found.scores.begin(), found.scores.end(), 0.0) / static_cast<double>(n_queries);
    }
    std::vector<std::vector<Region>> regions(static_cast<size_t>(n));
    for_each([&](int64_t d, int32_t* rows, int64_t count, const float* direction) {
        regions[static_cast<size_t>(d)] = divide(items, rows, count, static_cast<int32_t>(d), direction, gain);
    });
    for (const std::vector<Region>& own : regions) out.regions.insert(out.regions.end(), own.begin(), own.end());
    return out;
}

}  // namespace mcfast::recall
