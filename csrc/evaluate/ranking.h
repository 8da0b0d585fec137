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
    const int64_t* n_relevant;  // relevant items of each user, those the model does not know included; at least 1
};

// Sums over users at one cut k; divide by the number of users.
struct Measures {
    double recall = 0;         // hits / n_relevant
    double capped_recall = 0;  // hits / min(k, n_relevant)
    double precision = 0;      // hits / k
    double ndcg = 0;           // binary gain, the ideal cut at min(k, n_relevant)
    double map = 0;            // average precision / min(k, n_relevant)
    double mrr = 0;            // 1 / rank of the first hit
    double hit_rate = 0;       // 1 where there is a hit
};

// One Measures a cut, the users added in a fixed order. Cuts must rise.
std::vector<Measures> measure(const Lists& lists, const std::vector<int64_t>& cuts, int threads);

}  // namespace mcfast::evaluate
