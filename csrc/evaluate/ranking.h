// Measures of a ranking against the relevant items of each user.
#pragma once

#include <cstdint>
#include <vector>

namespace mcfast::evaluate {

struct Lists {
    const int64_t* ranked;  // n_users rows of `length`, best first, -1 where a list is short
    int64_t n_users, length;
    const int64_t* relevant_indptr;  // CSR over the users; rows sorted and distinct
    const int32_t* relevant_rows;
    const int64_t* n_relevant;  // relevant items of each user, those the model does not know included
};

// The measures of one user at one cut k.
struct Measures {
    double recall;         // hits / n_relevant
    double capped_recall;  // hits / min(k, n_relevant)
    double precision;      // hits / k
    double ndcg;           // binary gain, the ideal cut at min(k, n_relevant)
    double map;            // average precision / min(k, n_relevant)
    double mrr;            // 1 / rank of the first hit
    double hit_rate;       // 1 where there is a hit
};

// Writes n_users rows of one Measures a cut, all NaN for a user without relevant items. Cuts must rise.
void measure(const Lists& lists, const std::vector<int64_t>& cuts, Measures* out, int threads);

}  // namespace mcfast::evaluate
