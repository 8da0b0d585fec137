#include "recall/ranking.h"

#include <limits>

#include "parallel.h"

namespace mcfast::recall {
namespace {

constexpr int64_t few = 32;  // one item of this many, or fewer, is scored without a scan

}  // namespace

FewLeft::FewLeft(const Filter& filter, const Items& items) : filter_(filter), items_(items) {
    if (!filter.allow || items.ids) return;
    few_allowed_ = filter.allow.at_most(items.n / few);
    if (few_allowed_)
        filter.allow.each([&](int64_t row) {
            if (row < items.n) allowed_.push_back(static_cast<int32_t>(row));
        });
}

bool FewLeft::rows(int64_t query, std::vector<int32_t>& out) const {
    out.clear();
    const auto add = [&](int32_t row) {
        if (filter_.allows(query, row, row)) out.push_back(row);
    };
    if (few_allowed_) {
        for (const int32_t row : allowed_) add(row);
        return true;
    }
    if (!filter_.exclude_indptr || items_.ids) return false;
    const int32_t* excluded = filter_.exclude_rows + filter_.exclude_indptr[query];
    const int32_t* const end = filter_.exclude_rows + filter_.exclude_indptr[query + 1];
    if ((items_.n - (end - excluded)) * few > items_.n) return false;
    for (int32_t row = 0; row < items_.n; ++row) {
        if (excluded != end && *excluded == row)
            ++excluded;
        else
            add(row);
    }
    return true;
}

void Answers::write(int64_t query, std::vector<Scored>& scored) const {
    const int64_t found = std::min(k, static_cast<int64_t>(scored.size()));
    if (static_cast<int64_t>(scored.size()) > found)
        std::nth_element(scored.begin(), scored.begin() + found, scored.end(), better);
    std::sort(scored.begin(), scored.begin() + found, better);
    for (int64_t i = 0; i < found; ++i) {
        rows[query * k + i] = scored[static_cast<size_t>(i)].row;
        scores[query * k + i] = scored[static_cast<size_t>(i)].score;
    }
    std::fill(rows + query * k + found, rows + (query + 1) * k, -1);
    std::fill(scores + query * k + found, scores + (query + 1) * k, -std::numeric_limits<float>::infinity());
    counts[query] = found;
}

void Answers::write_none(int64_t n_queries) const {
    std::vector<Scored> none;
    for (int64_t q = 0; q < n_queries; ++q) write(q, none);
}

void rank(const Items& items, const float* queries, int64_t n_queries, const int64_t* candidates, int64_t n_candidates,
          const Filter& filter, int threads, const Answers& answers) {
    parallel::chunks(threads, n_queries, 16, [&](int64_t, int64_t begin, int64_t end) {
        std::vector<Scored> scored;
        for (int64_t q = begin; q < end; ++q) {
            const float* const query = queries + q * items.width;
            const double square = Items::dot(query, query, items.width);
            scored.clear();
            for (int64_t i = q * n_candidates; i < (q + 1) * n_candidates; ++i)
                if (candidates[i] >= 0 && filter.allows(q, candidates[i], static_cast<int32_t>(candidates[i])))
                    scored.push_back({static_cast<int32_t>(candidates[i]), items.score(query, square, candidates[i])});
            answers.write(q, scored);
        }
    });
}

}  // namespace mcfast::recall
