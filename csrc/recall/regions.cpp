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

struct Worse {
    bool operator()(const Near& x, const Near& y) const {
        return x.score < y.score || (x.score == y.score && x.region > y.region);
    }
};

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

Regions::Regions(const Items& items, const int32_t* order, const std::vector<Region>& regions, const float* directions,
                 int threads)
    : items_(items), directions_(directions), codes_(items_, order, chunk_ends(regions, first_chunk_), threads) {
    for (const Region& r : regions) {
        spreads_.push_back({r.direction, r.length, r.offset, r.along * r.along, r.across * r.across,
                            r.offset_spread * r.offset_spread});
        const float* const direction = directions + r.direction * items.width;
        squares_.resize(static_cast<size_t>(r.direction) + 1);
        squares_.back() = static_cast<float>(Items::dot(direction, direction, items.width));
    }
}

// Scores of a region are about normal, and vary with the query's parts along the direction and across. For l2, where x
// =
// (|a|^2 - |a - b|^2) / 2, what counts is the query as seen from the centre.
std::vector<Near> Regions::heap(const float* query, double reach) const {
    const bool ip = items_.metric == Metric::ip;
    const auto deviations = static_cast<float>(std::isinf(reach) ? 0 : reach);
    const auto square = static_cast<float>(Items::dot(query, query, items_.width));
    std::vector<Near> near;
    near.reserve(spreads_.size());
    int32_t direction = -1;
    float dot = 0, along = 0, across = 0;
    for (const Spread& region : spreads_) {
        if (region.direction != direction) {
            direction = region.direction;
            dot = static_cast<float>(Items::dot(query, directions_ + direction * items_.width, items_.width));
            const float length = squares_[static_cast<size_t>(direction)];
            const float whole = ip ? square : square - 2 * dot + length, part = ip ? dot : dot - length;
            along = length > 0 ? part * part / length : 0;
            across = std::max(whole - along, 0.0f);
        }
        const float variance = region.along * along + region.across * across + region.offsets;
        near.push_back({dot * region.length + region.offset + deviations * std::sqrt(variance),
                        static_cast<int32_t>(near.size())});
    }
    std::make_heap(near.begin(), near.end(), Worse{});
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
    const FewLeft few(filter, items_);
    const bool everywhere = std::isinf(reach);
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
            while (!near.empty() && (everywhere || !(near.front().score < scanner.least(0)))) {
                const auto region = static_cast<size_t>(near.front().region);
                std::pop_heap(near.begin(), near.end(), Worse{});
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
