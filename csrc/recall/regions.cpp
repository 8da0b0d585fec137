#include "recall/regions.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "parallel.h"
#include "recall/scanner.h"

namespace mcfast::recall {
namespace {

constexpr int64_t chunk_rows = 1024;
constexpr int64_t fetched = 2048;  // bytes of the next region
constexpr float infinite = std::numeric_limits<float>::infinity();

// A score and a region as one number, which orders by score, then by lower region: heaps of those need no branches.
uint64_t key(float score, size_t region) {
    uint32_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    bits ^= bits >> 31 ? 0xffffffff : 0x80000000;
    return uint64_t{bits} << 32 | (0xffffffff - region);
}
size_t region_of(uint64_t key) { return 0xffffffff - (key & 0xffffffff); }
float score_of(uint64_t key) {
    auto bits = static_cast<uint32_t>(key >> 32);
    bits ^= bits >> 31 ? 0x80000000 : 0xffffffff;
    float score;
    std::memcpy(&score, &bits, sizeof score);
    return score;
}

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
    if (items.metric == Metric::l2 || squares_.empty()) return;
    std::vector<int32_t> in_order(squares_.size());
    std::iota(in_order.begin(), in_order.end(), 0);
    const auto n = static_cast<int64_t>(squares_.size());
    direction_codes_ = std::make_unique<const Codes>(Items{directions, n, items.width, nullptr, Metric::ip},
                                                     in_order.data(), std::vector<int64_t>{n}, threads);
}

// Inner products with the directions: by codes, as where a search goes need not be known better; for l2, where what
// counts are small differences of them, in full.
std::vector<float> Regions::dots(const float* query, const QueryCodes& code) const {
    std::vector<float> dots(squares_.size());
    if (!direction_codes_) {
        for (size_t d = 0; d < dots.size(); ++d) {
            const float* const direction = directions_ + static_cast<int64_t>(d) * items_.width;
            dots[d] = static_cast<float>(Items::dot(query, direction, items_.width));
        }
        return dots;
    }
    std::vector<kernels::Hit> hits;
    for (const Chunk& chunk : direction_codes_->chunks()) {
        hits.resize(static_cast<size_t>(chunk.n_panels * kernels::panel_rows));
        const kernels::ScanQuery scanned{code.codes.data(), code.biases.data(), -infinite, 0};
        kernels::active().scan->scan({direction_codes_->panel(chunk.first_panel), nullptr, chunk.n_panels,
                                      static_cast<int32_t>(chunk.first_panel * kernels::panel_rows), items_.width,
                                      &scanned, 1, hits.data()});
        for (const kernels::Hit& hit : hits) {
            const int32_t d = direction_codes_->row(hit.row);
            if (d >= 0) dots[static_cast<size_t>(d)] = static_cast<float>(hit.score * code.step * chunk.step);
        }
    }
    return dots;
}

// Scores of a region are about normal, and vary with the query's parts along the direction and across. For l2, where
// x = (|a|^2 - |a - b|^2) / 2, what counts is the query as seen from the centre.
std::vector<uint64_t> Regions::heap(const float* query, const QueryCodes& code, double reach) const {
    const bool ip = items_.metric == Metric::ip;
    const std::vector<float> all_dots = dots(query, code);
    const auto deviations = static_cast<float>(std::isinf(reach) ? 0 : reach);
    const auto square = static_cast<float>(Items::dot(query, query, items_.width));
    std::vector<uint64_t> near;
    near.reserve(spreads_.size());
    int32_t direction = -1;
    float dot = 0, along = 0, across = 0;
    for (const Spread& region : spreads_) {
        if (region.direction != direction) {
            direction = region.direction;
            dot = all_dots[static_cast<size_t>(direction)];
            const float length = squares_[static_cast<size_t>(direction)];
            const float whole = ip ? square : square - 2 * dot + length, part = ip ? dot : dot - length;
            along = length > 0 ? part * part / length : 0;
            across = std::max(whole - along, 0.0f);
        }
        const float variance = region.along * along + region.across * across + region.offsets;
        near.push_back(key(dot * region.length + region.offset + deviations * std::sqrt(variance), near.size()));
    }
    std::make_heap(near.begin(), near.end());
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
            std::vector<uint64_t> near = heap(queries + q * items_.width, scanner.code(0), reach);
            while (!near.empty() && (everywhere || !(score_of(near.front()) < scanner.least(0)))) {
                const size_t region = region_of(near.front());
                std::pop_heap(near.begin(), near.end());
                near.pop_back();
                if (!near.empty()) fetch(region_of(near.front()));
                for (size_t chunk = first_chunk_[region]; chunk < first_chunk_[region + 1]; ++chunk)
                    if (scanner.reaches(0, codes_.chunks()[chunk])) scanner.scan(codes_.chunks()[chunk], itself);
            }
            answers.write(q, scanner.finish(0));
        }
    });
}

}  // namespace mcfast::recall
