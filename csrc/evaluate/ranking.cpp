#include "evaluate/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "parallel.h"

namespace mcfast::evaluate {
namespace {

constexpr int64_t grain = 256;  // users a chunk

// The discounts of NDCG, and the ideal sums: ideal[n] = sum of the first n discounts.
struct Discounts {
    std::vector<double> of, ideal;
    explicit Discounts(int64_t n) : of(static_cast<size_t>(n)), ideal(static_cast<size_t>(n) + 1, 0.0) {
        for (size_t i = 0; i < of.size(); ++i) {
            of[i] = 1 / std::log2(static_cast<double>(i) + 2);
            ideal[i + 1] = ideal[i] + of[i];
        }
    }
};

void measure_user(const Lists& l, int64_t user, const std::vector<int64_t>& cuts, const Discounts& discounts,
                  Measures* out) {
    const int32_t* const first = l.relevant_rows + l.relevant_indptr[user];
    const int32_t* const last = l.relevant_rows + l.relevant_indptr[user + 1];
    const int64_t relevant = l.n_relevant[user];
    if (relevant == 0) {
        constexpr double none = std::numeric_limits<double>::quiet_NaN();
        std::fill_n(out, cuts.size(), Measures{none, none, none, none, none, none, none});
        return;
    }
    int64_t hits = 0, rank = 0;
    double gain = 0, precisions = 0, reciprocal = 0;
    for (size_t c = 0; c < cuts.size(); ++c) {
        for (; rank < std::min(cuts[c], l.length); ++rank) {
            const int64_t row = l.ranked[user * l.length + rank];
            if (row < 0 || !std::binary_search(first, last, row)) continue;
            ++hits;
            gain += discounts.of[static_cast<size_t>(rank)];
            precisions += static_cast<double>(hits) / static_cast<double>(rank + 1);
            if (hits == 1) reciprocal = 1 / static_cast<double>(rank + 1);
        }
        const int64_t capped = std::min(cuts[c], relevant);
        const auto h = static_cast<double>(hits), most = static_cast<double>(capped);
        out[c].recall = h / static_cast<double>(relevant);
        out[c].capped_recall = h / most;
        out[c].precision = h / static_cast<double>(cuts[c]);
        out[c].ndcg = gain / discounts.ideal[static_cast<size_t>(capped)];
        out[c].map = precisions / most;
        out[c].mrr = reciprocal;
        out[c].hit_rate = hits > 0;
    }
}

}  // namespace

void measure(const Lists& lists, const std::vector<int64_t>& cuts, Measures* out, int threads) {
    const Discounts discounts(*std::max_element(cuts.begin(), cuts.end()));
    const auto n_cuts = static_cast<int64_t>(cuts.size());
    parallel::chunks(threads, lists.n_users, grain, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t user = begin; user < end; ++user) measure_user(lists, user, cuts, discounts, out + user * n_cuts);
    });
}

}  // namespace mcfast::evaluate
