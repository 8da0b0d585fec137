#include "evaluate/ranking.h"

#include <algorithm>
#include <cmath>

#include "parallel.h"

namespace mcfast::evaluate {
namespace {

constexpr int64_t grain = 4096;  // users a chunk of the sums

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

void add_user(const Lists& l, int64_t user, const std::vector<int64_t>& cuts, const Discounts& discounts,
              std::vector<Measures>& to) {
    const int32_t* const first = l.relevant_rows + l.relevant_indptr[user];
    const int32_t* const last = l.relevant_rows + l.relevant_indptr[user + 1];
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
        const int64_t relevant = l.n_relevant[user], capped = std::min(cuts[c], relevant);
        const auto h = static_cast<double>(hits);
        Measures& m = to[c];
        m.recall += h / static_cast<double>(relevant);
        m.capped_recall += h / static_cast<double>(capped);
        m.precision += h / static_cast<double>(cuts[c]);
        m.ndcg += gain / discounts.ideal[static_cast<size_t>(capped)];
        m.map += precisions / static_cast<double>(capped);
        m.mrr += reciprocal;
        m.hit_rate += hits > 0;
    }
}

}  // namespace

std::vector<Measures> measure(const Lists& lists, const std::vector<int64_t>& cuts, int threads) {
    const Discounts discounts(*std::max_element(cuts.begin(), cuts.end()));
    const int64_t chunks = (lists.n_users + grain - 1) / grain;
    std::vector<std::vector<Measures>> parts(static_cast<size_t>(chunks), std::vector<Measures>(cuts.size()));
    parallel::chunks(threads, lists.n_users, grain, [&](int64_t chunk, int64_t begin, int64_t end) {
        for (int64_t user = begin; user < end; ++user)
            add_user(lists, user, cuts, discounts, parts[static_cast<size_t>(chunk)]);
    });
    std::vector<Measures> total(cuts.size());
    for (const std::vector<Measures>& part : parts)
        for (size_t c = 0; c < cuts.size(); ++c) {
            total[c].recall += part[c].recall;
            total[c].capped_recall += part[c].capped_recall;
            total[c].precision += part[c].precision;
            total[c].ndcg += part[c].ndcg;
            total[c].map += part[c].map;
            total[c].mrr += part[c].mrr;
            total[c].hit_rate += part[c].hit_rate;
        }
    return total;
}

}  // namespace mcfast::evaluate
