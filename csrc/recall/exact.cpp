#include "recall/exact.h"

#include <atomic>
#include <memory>

#include "parallel.h"
#include "recall/candidates.h"

namespace mcfast::recall {
namespace {

using kernels::Hit;
using kernels::panel_rows;

constexpr int64_t slice_panels = 32;  // panels scanned before candidates are looked at: 512 rows, 128 KiB at 64 factors
constexpr int64_t batch_queries = 42;  // queries that share one pass over the items; a multiple of every tile size

}  // namespace

Exact::Exact(const float* rows, int64_t n, int64_t width, const float* offsets, int threads, Metric metric)
    : items_{rows, n, width, offsets, metric},
      n_panels_((n + panel_rows - 1) / panel_rows),
      panels_(n_panels_ * panel_rows * width),
      offsets_(static_cast<size_t>(n_panels_ * panel_rows), -std::numeric_limits<float>::infinity()) {
    struct Largest {
        double square = 0, offset = 0;
    };
    std::vector<Largest> largest(static_cast<size_t>(n_panels_));
    parallel::chunks(threads, n_panels_, 256, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) {
            float* const panel = panels_.data() + p * panel_rows * width;
            Largest& of_panel = largest[static_cast<size_t>(p)];
            for (int64_t i = 0; i < panel_rows; ++i) {
                const int64_t row = p * panel_rows + i;
                const float* const from = row < n ? items_.row(row) : nullptr;
                for (int64_t k = 0; k < width; ++k) panel[k * panel_rows + i] = from ? from[k] : 0;
                if (!from) continue;
                const double square = Items::dot(from, from, width);
                const float offset = metric == Metric::l2 ? static_cast<float>(-square / 2) : items_.offset(row);
                offsets_[static_cast<size_t>(row)] = offset;
                of_panel.square = std::max(of_panel.square, square);
                of_panel.offset = std::max(of_panel.offset, std::fabs(static_cast<double>(offset)));
            }
        }
    });
    for (const Largest& of_panel : largest) {
        max_norm_ = std::max(max_norm_, std::sqrt(of_panel.square));
        max_offset_ = std::max(max_offset_, of_panel.offset);
    }
}

// How far a score of the scan may be from the canonical one S. Let u = 2^-24, a the query, B and C the largest norm and
// offset, and m the number of terms.
//
// The scan: a dot product of m terms summed in any order is off by at most g |a| B, g = m u / (1 - m u) (Higham,
// Accuracy and Stability of Numerical Algorithms, 3.1); adding the offset rounds by u (|a| B + C); each product below
// the normal range loses 2^-149.
//
// ip: |S| <= |a| B + C, and S itself is rounded by u |S|.
//
// l2: |S| <= (|a| + B)^2. The scan approximates <a, b> - |b|^2 / 2, so it is compared with (S + |a|^2) / 2, which
// orders the items of a query as S does, |a|^2 being one number for all. The scan's offset is rounded by u C, and S by
// u |S|, of which half counts. Where S is cut at 0, it moves towards the true value.
//
// The float64 arithmetic of S is off by about m 2^-53 of the same terms; that, and products of two small errors, are in
// the factor 1.01. Where |S| or a sum of the scan may leave the range of fp32, no bound holds.
double Exact::error(double query_norm) const {
    const bool ip = items_.metric == Metric::ip;
    if (ip && query_norm == 0) return 0;  // a score is its offset, which both have as it is
    const double u = 0x1p-24, m = static_cast<double>(items_.width);
    const double product = query_norm * max_norm_, reach = query_norm + max_norm_;
    const double largest = ip ? product + max_offset_ : reach * reach;
    if (!(1.01 * largest < std::numeric_limits<float>::max())) return std::numeric_limits<double>::infinity();
    const double scan = (m * u / (1 - m * u) + u) * product + u * max_offset_ + m * 0x1p-149;
    const double canonical = ip ? u * largest : u * (max_offset_ + largest / 2);
    return 1.01 * (scan + canonical);
}

// The search of one batch of queries; the buffers serve one batch after the other.
class Exact::Search {
public:
    Search(const Exact& index, const float* queries, const Filter& filter, const Answers& answers)
        : index_(index),
          queries_(queries),
          filter_(filter),
          answers_(answers),
          hits_(batch_queries * slice_panels * panel_rows),
          hit_counts_(batch_queries),
          thresholds_(batch_queries) {}

    void batch(int64_t first, int64_t last) {
        const Items& items = index_.items_;
        const int64_t n_queries = last - first;
        candidates_.clear();
        squares_.clear();
        for (int64_t q = first; q < last; ++q) {
            const float* const query = queries_ + q * items.width;
            squares_.push_back(Items::dot(query, query, items.width));
            candidates_.emplace_back(std::min(answers_.k, items.n), index_.error(std::sqrt(squares_.back())));
        }
        for (int64_t panel = 0; panel < index_.n_panels_; panel += slice_panels) {
            const int64_t count = std::min(slice_panels, index_.n_panels_ - panel);
            for (size_t q = 0; q < candidates_.size(); ++q) thresholds_[q] = candidates_[q].threshold();
            kernels::active().scan->scan(
                {index_.panels_.data() + panel * panel_rows * items.width, index_.offsets_.data() + panel * panel_rows,
                 count, static_cast<int32_t>(panel * panel_rows), items.width, queries_ + first * items.width,
                 n_queries, thresholds_.data(), hits_.data(), hit_counts_.data()});
            for (int64_t q = 0; q < n_queries; ++q) {
                const Hit* hit = hits_.data() + q * count * panel_rows;
                for (const Hit* const end = hit + hit_counts_[static_cast<size_t>(q)]; hit != end; ++hit)
                    if (hit->row < items.n && filter_.allows(first + q, hit->row))
                        candidates_[static_cast<size_t>(q)].add(*hit);
            }
        }
        for (int64_t q = 0; q < n_queries; ++q) {
            scored_.clear();
            for (const Hit& hit : candidates_[static_cast<size_t>(q)].finish())
                scored_.push_back({hit.row, items.score(queries_ + (first + q) * items.width,
                                                        squares_[static_cast<size_t>(q)], hit.row)});
            answers_.write(first + q, scored_);
        }
    }

private:
    const Exact& index_;
    const float* queries_;
    Filter filter_;
    Answers answers_;
    Buffer<Hit> hits_;
    std::vector<int32_t> hit_counts_;
    std::vector<float> thresholds_;
    std::vector<Candidates> candidates_;
    std::vector<double> squares_;
    std::vector<Hit> scored_;
};

void Exact::search(const float* queries, int64_t n_queries, int64_t k, const Filter& filter, int threads, int64_t* rows,
                   float* scores, int64_t* counts) const {
    const int64_t batches = (n_queries + batch_queries - 1) / batch_queries;
    const auto workers = static_cast<int>(std::min<int64_t>(threads, batches));
    std::vector<std::unique_ptr<Search>> searches(static_cast<size_t>(std::max(workers, 1)));
    for (auto& s : searches) s = std::make_unique<Search>(*this, queries, filter, Answers{k, rows, scores, counts});
    std::atomic<int64_t> next{0};
    parallel::run(workers, [&](int worker) {
        for (int64_t b; (b = next.fetch_add(1)) < batches;)
            searches[static_cast<size_t>(worker)]->batch(b * batch_queries,
                                                         std::min(n_queries, (b + 1) * batch_queries));
    });
}

}  // namespace mcfast::recall
