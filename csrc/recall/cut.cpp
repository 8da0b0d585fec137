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
// Items of one direction and about one length: few of the longest, whose lengths differ most, then more and more.
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

// The centre that each row scores most with.
std::vector<int64_t> nearest(const Buffer<float>& centres, const float* rows, int64_t n, int64_t width, Metric metric,
                             int threads) {
    const Exact index(centres.data(), centres.size() / width, width, nullptr, threads, metric);
    std::vector<int64_t> found(static_cast<size_t>(n)), counts(static_cast<size_t>(n));
    std::vector<float> scores(static_cast<size_t>(n));
    index.search(rows, n, 1, {}, threads, found.data(), scores.data(), counts.data());
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
        const std::vector<int64_t> region = nearest(centres, rows.data(), size, width, items.metric, threads);
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

// The ends of bands: of regions for l2; for ip of parts of them, by descending length.
std::vector<int64_t> bands(const Items& items, std::vector<int32_t>& order, const std::vector<int64_t>& ends,
                           int threads) {
    if (items.metric == Metric::l2) return ends;
    std::vector<int64_t> out{0};
    for (size_t r = 1; r < ends.size(); ++r) {
        int64_t band = first_band;
        // What would be less than half a band is left to the one before.
        for (; ends[r] - out.back() >= band + band / 2; band = std::min(2 * band, last_band))
            out.push_back(out.back() + band);
        out.push_back(ends[r]);
    }
    parallel::chunks(threads, static_cast<int64_t>(ends.size()) - 1, 1, [&](int64_t r, int64_t, int64_t) {
        std::vector<std::pair<double, int32_t>>
            by_length;  // minus the square of the length, so that pairs sort as wanted
        const int64_t begin = ends[static_cast<size_t>(r)], end = ends[static_cast<size_t>(r) + 1];
        for (int64_t i = begin; i < end; ++i) {
            const int32_t row = order[static_cast<size_t>(i)];
            by_length.emplace_back(-Items::dot(items.row(row), items.row(row), items.width), row);
        }
        std::sort(by_length.begin(), by_length.end());
        for (int64_t i = begin; i < end; ++i)
            order[static_cast<size_t>(i)] = by_length[static_cast<size_t>(i - begin)].second;
    });
    return out;
}

// Writes the centre of some rows, and returns what is known of them.
Region describe(const Items& items, const int32_t* rows, int64_t n, float* centre) {
    std::vector<double> mean(static_cast<size_t>(items.width));
    double offset = 0;
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t k = 0; k < items.width; ++k) mean[static_cast<size_t>(k)] += items.row(rows[i])[k];
        offset += items.scan_offset(rows[i]);
    }
    const auto count = static_cast<double>(n);
    for (int64_t k = 0; k < items.width; ++k) centre[k] = static_cast<float>(mean[static_cast<size_t>(k)] / count);
    offset /= count;
    const double length = std::sqrt(Items::dot(centre, centre, items.width));
    double squares = 0, along = 0, offset_squares = 0;
    for (int64_t i = 0; i < n; ++i) {
        const float* const row = items.row(rows[i]);
        for (int64_t k = 0; k < items.width; ++k) {
            const double distance = static_cast<double>(row[k]) - centre[k];
            squares += distance * distance;
        }
        const double by = length > 0 ? Items::dot(row, centre, items.width) / length - length : 0;
        along += by * by;
        offset_squares += (items.scan_offset(rows[i]) - offset) * (items.scan_offset(rows[i]) - offset);
    }
    const double axes = count * static_cast<double>(items.width - 1);
    return {n, static_cast<float>(std::sqrt(along / count)),
            static_cast<float>(std::sqrt(std::max(squares - along, 0.0) / axes)), static_cast<float>(offset),
            items.metric == Metric::ip ? static_cast<float>(std::sqrt(offset_squares / count)) : 0};
}

}  // namespace

Cut cut(const Items& items, int64_t n_centres, uint64_t seed, int threads) {
    n_centres = std::min(n_centres, items.n);
    const std::vector<int64_t> region =
        nearest(kmeans(items, n_centres, seed, threads), items.rows, items.n, items.width, items.metric, threads);
    std::vector<int64_t> ends(static_cast<size_t>(n_centres) + 1);
    for (const int64_t r : region) ++ends[static_cast<size_t>(r) + 1];
    std::partial_sum(ends.begin(), ends.end(), ends.begin());
    Cut out{std::vector<int32_t>(region.size()), {}, {}};
    std::vector<int64_t> next(ends.begin(), ends.end() - 1);
    for (size_t i = 0; i < region.size(); ++i)
        out.order[static_cast<size_t>(next[static_cast<size_t>(region[i])]++)] = static_cast<int32_t>(i);
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());  // empty ones
    ends = bands(items, out.order, ends, threads);
    const auto found = static_cast<int64_t>(ends.size()) - 1;
    out.regions.resize(static_cast<size_t>(found));
    out.centres = Buffer<float>(found * items.width);
    parallel::chunks(threads, found, 1, [&](int64_t i, int64_t, int64_t) {
        const auto r = static_cast<size_t>(i);
        out.regions[r] =
            describe(items, out.order.data() + ends[r], ends[r + 1] - ends[r], out.centres.data() + i * items.width);
    });
    return out;
}

}  // namespace mcfast::recall
