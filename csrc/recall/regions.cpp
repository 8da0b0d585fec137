#include "recall/regions.h"

#include <atomic>
#include <cmath>

#include "parallel.h"
#include "recall/scanner.h"

namespace mcfast::recall {
namespace {

constexpr int64_t chunk_rows = 1024;
constexpr int64_t fetched = 2048;  // bytes of the next region

using Near = Regions::Near;

bool worse(const Near& x, const Near& y) { return x.score < y.score || (x.score == y.score && x.region > y.region); }

double squared(float x) { return static_cast<double>(x) * x; }

// The ends of chunks: regions, and where these are large, parts of them. Notes the first chunk of each region.
std::vector<int64_t> chunk_ends(const std::vector<Region>& regions, std::vector<size_t>& first_chunk) {
    std::vector<int64_t> ends;
    int64_t begin = 0;
    for (const Region& region : regions) {
        first_chunk.push_back(ends.size());
        for (int64_t end = begin + chunk_rows; end < begin + region.size; end += chunk_rows) ends.push_back(end);
        ends.push_back(begin += region.size);
    }
    first_chunk.push_back(ends.size());
    return ends;
}

}  // namespace

Regions::Regions(const Items& items, const int32_t* order, std::vector<Region> regions, const float* centres,
                 int threads)
    : items_(items),
      regions_(std::move(regions)),
      centres_(centres),
      codes_(items_, order, chunk_ends(regions_, first_chunk_), threads) {
    for (size_t r = 0; r < regions_.size(); ++r) {
        const float* const centre = centres + static_cast<int64_t>(r) * items.width;
        squares_.push_back(Items::dot(centre, centre, items.width));
    }
}

// Scores of a region are about normal, and vary with the query's parts along the centre and across. For l2, where x =
// (|a|^2 - |a - b|^2) / 2, what counts is the query as seen from the centre.
std::vector<Near> Regions::heap(const float* query, double reach) const {
    const double square = Items::dot(query, query, items_.width);
    std::vector<Near> near;
    near.reserve(regions_.size());
    for (size_t r = 0; r < regions_.size(); ++r) {
        const Region& region = regions_[r];
        const float* const centre = centres_ + static_cast<int64_t>(r) * items_.width;
        const double mean = Items::dot(query, centre, items_.width);
        const double centre_square = squares_[r];
        const bool ip = items_.metric == Metric::ip;
        const double whole = ip ? square : square - 2 * mean + centre_square;
        const double part = ip ? mean : mean - centre_square;
        const double along = centre_square > 0 ? part * part / centre_square : 0;
        const double variance = squared(region.along) * along + squared(region.across) * std::max(whole - along, 0.0) +
                                squared(region.offset_spread);
        const double extra = std::isinf(reach) ? reach : reach * std::sqrt(variance);
        near.push_back({mean + region.offset + extra, static_cast<int32_t>(r)});
    }
    std::make_heap(near.begin(), near.end(), worse);
    return near;
}

// Fetches the beginning of a region from memory: what follows, the processor foresees.
void Regions::fetch(size_t region) const {
    const uint8_t* const codes = codes_.panel(codes_.chunks()[first_chunk_[region]].first_panel);
    for (int64_t i = 0; i < fetched; i += 64) __builtin_prefetch(codes + i);
}

void Regions::search(const float* queries, int64_t n_queries, int64_t k, const Filter& filter, double reach,
                     int threads, const Answers& answers) const {
    const int64_t most = std::min(k, items_.n);
    if (most == 0) return answers.write_none(n_queries);
    const FewLeft few(filter, items_.n);
    std::atomic<int64_t> next{0};
    parallel::run(static_cast<int>(std::min<int64_t>(threads, n_queries)), [&](int) {
        Scanner scanner(items_, codes_, queries, filter, most);
        std::vector<int32_t> left;
        const std::vector<int32_t> itself{0};
        for (int64_t q; (q = next.fetch_add(1)) < n_queries;) {
            scanner.start(q, 1);
            if (few.rows(q, left)) {
                scanner.score(0, left);
                answers.write(q, scanner.finish(0));
                continue;
            }
            std::vector<Near> near = heap(queries + q * items_.width, reach);
            while (!near.empty() && !(near.front().score < scanner.least(0))) {
                const auto region = static_cast<size_t>(near.front().region);
                std::pop_heap(near.begin(), near.end(), worse);
                near.pop_back();
                if (!near.empty()) fetch(static_cast<size_t>(near.front().region));
                for (size_t chunk = first_chunk_[region]; chunk < first_chunk_[region + 1]; ++chunk)
                    if (scanner.reaches(0, codes_.chunks()[chunk])) scanner.scan(codes_.chunks()[chunk], itself);
            }
            answers.write(q, scanner.finish(0));
        }
    });
}

}  // namespace mcfast::recall
