#include "recall/exact.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>

#include "kernels/kernels.h"
#include "parallel.h"

namespace mcfast::recall {
namespace {

using kernels::Hit;
using kernels::panel_rows;

constexpr int64_t slice_panels = 32;  // panels scanned before candidates are looked at: 512 rows, 128 KiB at 64 factors
constexpr int64_t batch_queries = 42;  // queries that share one pass over the items; a multiple of every tile size

// How far an fp32 score of the scan may be from the canonical one. With u = 2^-24, m terms and sums in any order, the
// dot product is off by at most m u / (1 - m u) |a| |b| (Higham, Accuracy and Stability of Numerical Algorithms, 3.1),
// adding the offset and rounding the canonical score by u of the result each; products below the normal range lose
// 2^-149 each.
double score_error(double query_norm, double max_norm, double max_offset, int64_t width) {
    const double u = 0x1p-24, m = static_cast<double>(width);
    const double product = query_norm * max_norm;
    return 1.01 * ((m * u / (1 - m * u) + 2 * u) * product + 2 * u * max_offset + m * 0x1p-149);
}

float rounded_down(double x) {
    const auto f = static_cast<float>(x);
    return static_cast<double>(f) > x ? std::nextafterf(f, -std::numeric_limits<float>::infinity()) : f;
}

// The candidates of one query. A row whose approximate score is below (k-th best) - 2 error cannot be among the k best:
// k rows have a canonical score above its own.
class Candidates {
public:
    Candidates(int64_t k, double error)
        : k_(static_cast<size_t>(k)), error_(error), full_(std::max<size_t>(2 * k_, 256)) {}

    float threshold() const { return threshold_; }

    void add(Hit hit) {
        hits_.push_back(hit);
        if (hits_.size() >= full_) cut();
    }

    // What is left when the scan is over: a superset of the k best.
    const std::vector<Hit>& finish() {
        cut();
        return hits_;
    }

private:
    void cut() {
        if (hits_.size() <= k_ || k_ == 0) return;
        // NaN (an overflow of the approximation) counts as largest, and is never cut.
        const auto better = [](const Hit& a, const Hit& b) {
            return a.score > b.score || (a.score != a.score && b.score == b.score);
        };
        std::nth_element(hits_.begin(), hits_.begin() + static_cast<std::ptrdiff_t>(k_) - 1, hits_.end(), better);
        const double kth = hits_[k_ - 1].score;
        const double bound = kth - 2 * error_;
        threshold_ = std::isfinite(bound) ? rounded_down(bound) : -std::numeric_limits<float>::infinity();
        hits_.erase(std::remove_if(hits_.begin(), hits_.end(), [&](const Hit& h) { return h.score < threshold_; }),
                    hits_.end());
        full_ = std::max(full_, 2 * hits_.size());
    }

    size_t k_;
    double error_;
    size_t full_;
    float threshold_ = -std::numeric_limits<float>::infinity();
    std::vector<Hit> hits_;
};

}  // namespace

Exact::Exact(const float* rows, int64_t n, int64_t width, const float* offsets, int threads)
    : rows_(rows),
      offsets_(offsets),
      n_(n),
      width_(width),
      panels_((n + panel_rows - 1) / panel_rows * panel_rows * width),
      padded_offsets_(static_cast<size_t>((n + panel_rows - 1) / panel_rows * panel_rows),
                      -std::numeric_limits<float>::infinity()) {
    const kernels::ScoreTable& score = *kernels::active().score;
    const int64_t n_panels = (n + panel_rows - 1) / panel_rows;
    std::vector<double> norms(static_cast<size_t>(n_panels));
    parallel::chunks(threads, n_panels, 256, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) {
            float* const panel = panels_.data() + p * panel_rows * width;
            double largest = 0;
            for (int64_t i = 0; i < panel_rows; ++i) {
                const int64_t row = p * panel_rows + i;
                const float* const from = row < n ? rows + row * width : nullptr;
                for (int64_t k = 0; k < width; ++k) panel[k * panel_rows + i] = from ? from[k] : 0;
                if (!from) continue;
                padded_offsets_[static_cast<size_t>(row)] = offsets ? offsets[row] : 0;
                largest = std::max(largest, score.dot(from, from, width));
            }
            norms[static_cast<size_t>(p)] = largest;
        }
    });
    for (const double norm : norms) max_norm_ = std::max(max_norm_, std::sqrt(norm));
    for (int64_t i = 0; offsets && i < n; ++i)
        max_offset_ = std::max(max_offset_, std::fabs(static_cast<double>(offsets[i])));
}

// The search of one batch of queries; the buffers serve one batch after the other.
class Exact::Search {
public:
    Search(const Exact& index, const float* queries, int64_t k, const Filter& filter, int64_t* rows, float* scores,
           int64_t* counts)
        : index_(index),
          queries_(queries),
          k_(k),
          filter_(filter),
          rows_(rows),
          scores_(scores),
          counts_(counts),
          hits_(batch_queries * slice_panels * panel_rows),
          hit_counts_(batch_queries),
          thresholds_(batch_queries) {}

    void batch(int64_t first, int64_t last) {
        const kernels::Set& set = kernels::active();
        std::vector<Candidates> candidates;
        candidates.reserve(static_cast<size_t>(last - first));
        const int64_t width = index_.width_;
        for (int64_t q = first; q < last; ++q) {
            const float* const query = queries_ + q * width;
            const double norm = std::sqrt(set.score->dot(query, query, width));
            candidates.emplace_back(std::min(k_, index_.n_),
                                    score_error(norm, index_.max_norm_, index_.max_offset_, width));
        }
        const int64_t n_panels = (index_.n_ + panel_rows - 1) / panel_rows;
        for (int64_t panel = 0; panel < n_panels; panel += slice_panels) {
            const int64_t count = std::min(slice_panels, n_panels - panel);
            for (int64_t q = 0; q < last - first; ++q)
                thresholds_[static_cast<size_t>(q)] = candidates[static_cast<size_t>(q)].threshold();
            set.scan->scan({index_.panels_.data() + panel * panel_rows * width,
                            index_.padded_offsets_.data() + panel * panel_rows, count,
                            static_cast<int32_t>(panel * panel_rows), width, queries_ + first * width, last - first,
                            thresholds_.data(), hits_.data(), hit_counts_.data()});
            for (int64_t q = 0; q < last - first; ++q) {
                const Hit* hit = hits_.data() + q * count * panel_rows;
                Candidates& to = candidates[static_cast<size_t>(q)];
                for (const Hit* const end = hit + hit_counts_[static_cast<size_t>(q)]; hit != end; ++hit)
                    if (hit->row < index_.n_ && allowed(first + q, hit->row)) to.add(*hit);
            }
        }
        for (int64_t q = first; q < last; ++q) write(q, candidates[static_cast<size_t>(q - first)].finish());
    }

private:
    bool allowed(int64_t query, int32_t row) const {
        if (filter_.allow && !filter_.allow[row]) return false;
        if (!filter_.exclude_indptr) return true;
        return !std::binary_search(filter_.exclude_rows + filter_.exclude_indptr[query],
                                   filter_.exclude_rows + filter_.exclude_indptr[query + 1], row);
    }

    void write(int64_t query, const std::vector<Hit>& candidates) {
        const kernels::ScoreTable& score = *kernels::active().score;
        const int64_t width = index_.width_;
        scored_.clear();
        for (const Hit& hit : candidates) {
            const double offset = index_.offsets_ ? index_.offsets_[hit.row] : 0;
            scored_.push_back(
                {hit.row, score.score(queries_ + query * width, index_.rows_ + hit.row * width, width, offset)});
        }
        const int64_t found = std::min<int64_t>(k_, static_cast<int64_t>(scored_.size()));
        std::partial_sort(scored_.begin(), scored_.begin() + found, scored_.end(), [](const Hit& a, const Hit& b) {
            return a.score > b.score || (a.score == b.score && a.row < b.row);
        });
        for (int64_t i = 0; i < k_; ++i) {
            rows_[query * k_ + i] = i < found ? scored_[static_cast<size_t>(i)].row : -1;
            scores_[query * k_ + i] =
                i < found ? scored_[static_cast<size_t>(i)].score : -std::numeric_limits<float>::infinity();
        }
        counts_[query] = found;
    }

    const Exact& index_;
    const float* queries_;
    int64_t k_;
    Filter filter_;
    int64_t* rows_;
    float* scores_;
    int64_t* counts_;
    Buffer<Hit> hits_;
    std::vector<int32_t> hit_counts_;
    std::vector<float> thresholds_;
    std::vector<Hit> scored_;
};

void Exact::search(const float* queries, int64_t n_queries, int64_t k, const Filter& filter, int threads, int64_t* rows,
                   float* scores, int64_t* counts) const {
    const int64_t batches = (n_queries + batch_queries - 1) / batch_queries;
    const auto workers = static_cast<int>(std::min<int64_t>(threads, batches));
    std::vector<std::unique_ptr<Search>> searches(static_cast<size_t>(std::max(workers, 1)));
    for (auto& s : searches) s = std::make_unique<Search>(*this, queries, k, filter, rows, scores, counts);
    std::atomic<int64_t> next{0};
    parallel::run(workers, [&](int worker) {
        for (int64_t b; (b = next.fetch_add(1)) < batches;)
            searches[static_cast<size_t>(worker)]->batch(b * batch_queries,
                                                         std::min(n_queries, (b + 1) * batch_queries));
    });
}

}  // namespace mcfast::recall
