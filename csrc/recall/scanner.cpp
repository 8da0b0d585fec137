#include "recall/scanner.h"

#include <cmath>
#include <limits>

namespace mcfast::recall {
namespace {

using kernels::Hit;
using kernels::panel_rows;

constexpr float infinite = std::numeric_limits<float>::infinity();
constexpr int64_t first_panels = 8;      // panels that are scanned at a time before k items are known
constexpr int64_t most_unscored = 1024;  // candidates that may wait: among duplicates none can be dropped unscored
constexpr size_t prefetched = 8;         // candidates whose rows are fetched ahead

// In the normal range of fp32 two steps down cost less than to ask which way it was rounded; infinity stands for what
// lies beyond the largest number.
float rounded_down(double x) { return static_cast<float>(x - 0x1p-23 * std::fabs(x) - 0x1p-149); }

void fetch(const Items& items, int64_t row) {
    const char* const from = static_cast<const char*>(items.address(row));
    for (int64_t k = 0; k < items.row_bytes(); k += 64) __builtin_prefetch(from + k);
}

}  // namespace

void Scanner::start(int64_t first, int64_t n) {
    first_ = first;
    batch_.clear();
    for (int64_t q = 0; q < n; ++q) {
        const float* const from = vector(q);
        batch_.push_back({QueryCodes(from, items_.width, items_.scan_offsets()),
                          Items::dot(from, from, items_.width),
                          Best(k_),
                          static_cast<size_t>(k_),
                          -infinite,
                          -infinite,
                          {}});
        if (filter_.least) raise(batch_.back(), filter_.least[first + q]);
    }
}

// How far the float64 arithmetic of a canonical score may be off, and the fp32 offset of the scan for l2.
double Scanner::rounding(const Query& query, const Chunk& chunk) const {
    const double u = static_cast<double>(items_.width + 8) * 0x1p-52, a = query.code.norm, b = chunk.norm;
    if (items_.metric == Metric::ip) return u * (a * b + chunk.offset_size);
    return u * (a + b) * (a + b) + 0x1p-24 * chunk.offset_size + 0x1p-149;
}

bool Scanner::reaches(int64_t query, const Chunk& chunk) const {
    const Query& q = batch_[static_cast<size_t>(query)];
    return !(q.code.norm * chunk.norm + chunk.offset + rounding(q, chunk) < q.least);
}

void Scanner::set_threshold(size_t i) {
    const Active& active = active_[i];
    const double sum = (at(active.query).least - active.margin) * active.inverse;
    const auto threshold = static_cast<float>(sum - active.rounding - 0x1p-21 * std::fabs(sum));
    scanned_[i].threshold = std::isnan(threshold) ? -infinite : threshold;
}

void Scanner::scan(const Chunk& chunk, const std::vector<int32_t>& which) {
    active_.clear();
    scanned_.clear();
    bool all_known = true;
    for (const int32_t q : which) {
        const Query& query = at(q);
        const QueryCodes& code = query.code;
        const double inverse = code.inverse * chunk.inverse;
        const double largest = 128.0 * 64 * static_cast<double>(items_.width) + chunk.offset_size * inverse;
        active_.push_back({q, code.step * chunk.step, inverse,
                           code.error * chunk.norm + code.coded_norm * chunk.error + rounding(query, chunk),
                           0x1p-21 * largest});
        scanned_.push_back({code.codes.data(), code.biases.data(), 0, static_cast<float>(inverse)});
        set_threshold(active_.size() - 1);
        all_known = all_known && query.least > -infinite;
    }
    const auto n = static_cast<int64_t>(which.size());
    if (hits_.size() < n * chunk.n_panels * panel_rows) hits_ = Buffer<Hit>(n * chunk.n_panels * panel_rows);
    const int64_t step = all_known ? chunk.n_panels : std::max(first_panels, (k_ + panel_rows - 1) / panel_rows);
    for (int64_t panel = 0; panel < chunk.n_panels; panel += step) {
        const int64_t first = chunk.first_panel + panel;
        collect(kernels::active().scan->scan(
            {codes_.panel(first), codes_.offsets(first), std::min(step, chunk.n_panels - panel),
             static_cast<int32_t>(first * panel_rows), items_.width, scanned_.data(), n, hits_.data()}));
    }
}

void Scanner::collect(int64_t n_hits) {
    const Hit* const end = hits_.data() + n_hits;
    for (const Hit* hit = hits_.data(); hit != end; ++hit) {
        const auto i = static_cast<size_t>(hit->query);
        if (hit->score < scanned_[i].threshold) continue;
        const Active& active = active_[i];
        const int32_t row = codes_.row(hit->row);
        if (row < 0 || !filter_.allows(first_ + active.query, row, items_.id(row))) continue;
        Query& query = at(active.query);
        const double about = hit->score * active.step;
        const double margin = active.margin + active.rounding * active.step;
        const bool known = std::isfinite(hit->score);  // an offset may be too large for the unit of the codes
        query.candidates.push_back(
            {known ? rounded_down(about - margin) : -infinite, known ? -rounded_down(-about - margin) : infinite, row});
        if (query.candidates.size() < query.full) continue;
        sift(query);
        if (query.candidates.size() > static_cast<size_t>(std::max(8 * k_, most_unscored))) {
            score_candidates(active.query, 0, query.candidates.size());
            query.candidates.clear();
        }
        set_threshold(i);
    }
}

// Takes note that k items have at least this score, which is rounded to fp32.
void Scanner::raise(Query& query, float worst) const {
    if (!(worst > query.worst)) return;
    query.worst = worst;
    const double score = std::min(worst, std::numeric_limits<float>::max());
    query.least = score - 0x1p-23 * std::fabs(score) - 0x1p-149;
    if (items_.metric == Metric::l2) query.least = (query.least + query.square) / 2;
}

// Drops the candidates that k items are above of.
void Scanner::sift(Query& query) const {
    std::vector<Candidate>& c = query.candidates;
    if (c.size() >= static_cast<size_t>(k_)) {
        const auto last = c.begin() + k_ - 1;
        std::nth_element(c.begin(), last, c.end(),
                         [](const Candidate& x, const Candidate& y) { return x.low > y.low; });
        const bool l2 = items_.metric == Metric::l2;
        raise(query, l2 ? static_cast<float>(std::min(2.0 * last->low - query.square, 0.0)) : last->low);
    }
    c.erase(std::remove_if(c.begin(), c.end(), [&](const Candidate& x) { return x.high < query.least; }), c.end());
    query.full = std::max<size_t>({static_cast<size_t>(2 * k_), 2 * c.size(), 64});
}

// Scores the candidates begin .. end - 1, unless they cannot enter any more.
void Scanner::score_candidates(int64_t query, size_t begin, size_t end) {
    Query& q = at(query);
    for (size_t i = begin; i < std::min(begin + prefetched, end); ++i) fetch(items_, q.candidates[i].row);
    for (size_t i = begin; i < end; ++i) {
        if (i + prefetched < end) fetch(items_, q.candidates[i + prefetched].row);
        const Candidate& c = q.candidates[i];
        if (c.high < q.least) continue;
        q.best.add({items_.id(c.row), score(query, c.row)});
    }
    raise(q, q.best.threshold());
}

void Scanner::score(int64_t query, const std::vector<int32_t>& rows) {
    for (const int32_t row : rows) at(query).best.add({items_.id(row), score(query, row)});
}

std::vector<Scored>& Scanner::finish(int64_t query) {
    Query& q = at(query);
    sift(q);
    const size_t first = std::min(q.candidates.size(), static_cast<size_t>(k_));
    score_candidates(query, 0, first);
    score_candidates(query, first, q.candidates.size());
    return q.best.finish();
}

}  // namespace mcfast::recall
