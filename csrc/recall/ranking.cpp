#include "recall/ranking.h"

#include <limits>

#include "parallel.h"

namespace mcfast::recall {

using kernels::Hit;

void Answers::write(int64_t query, std::vector<Hit>& scored) const {
    const int64_t found = std::min(k, static_cast<int64_t>(scored.size()));
    std::partial_sort(scored.begin(), scored.begin() + found, scored.end(), [](const Hit& a, const Hit& b) {
        return a.score > b.score || (a.score == b.score && a.row < b.row);
    });
    for (int64_t i = 0; i < found; ++i) {
        rows[query * k + i] = scored[static_cast<size_t>(i)].row;
        scores[query * k + i] = scored[static_cast<size_t>(i)].score;
    }
    std::fill(rows + query * k + found, rows + (query + 1) * k, -1);
    std::fill(scores + query * k + found, scores + (query + 1) * k, -std::numeric_limits<float>::infinity());
    counts[query] = found;
}

void rank(const Items& items, const float* queries, int64_t n_queries, const int64_t* candidates, int64_t n_candidates,
          const Filter& filter, int threads, const Answers& answers) {
    parallel::chunks(threads, n_queries, 16, [&](int64_t, int64_t begin, int64_t end) {
        std::vector<Hit> scored;
        for (int64_t q = begin; q < end; ++q) {
            const float* const query = queries + q * items.width;
            const double square = Items::dot(query, query, items.width);
            scored.clear();
            for (int64_t i = q * n_candidates; i < (q + 1) * n_candidates; ++i)
                if (candidates[i] >= 0 && filter.allows(q, candidates[i]))
                    scored.push_back({static_cast<int32_t>(candidates[i]), items.score(query, square, candidates[i])});
            answers.write(q, scored);
        }
    });
}

}  // namespace mcfast::recall
