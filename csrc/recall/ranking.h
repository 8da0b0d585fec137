// From candidates to the answer: the rows a query may get, in order of the canonical score.
#pragma once

#include <cstdint>
#include <vector>

#include "recall/best.h"
#include "recall/bits.h"
#include "recall/items.h"

namespace mcfast::recall {

// Items that a query may not get, and need not. All parts are optional. A row is what answers call an item; a place is
// where it stands among those that are searched.
struct Filter {
    const int64_t* exclude_indptr = nullptr;  // CSR over the queries; rows sorted inside a query
    const int32_t* exclude_rows = nullptr;
    Bits allow = {};               // rows that may be returned
    Bits alive = {};               // places that may be
    const float* least = nullptr;  // a score that so many items elsewhere have that a lower one is not wanted

    bool allows(int64_t query, int64_t place, int32_t row) const {
        if ((allow && !allow[row]) || (alive && !alive[place])) return false;
        if (!exclude_indptr) return true;
        return !std::binary_search(exclude_rows + exclude_indptr[query], exclude_rows + exclude_indptr[query + 1], row);
    }
};

// The rows that a filter leaves, where they are so few that to score them all costs less than to scan all items.
class FewLeft {
public:
    FewLeft(const Filter& filter, const Items& items);

    // Writes their places in ascending order, or returns false where a query may get too many.
    bool rows(int64_t query, std::vector<int32_t>& out) const;

private:
    Filter filter_;
    Items items_;
    bool few_allowed_ = false;
    std::vector<int32_t> allowed_;
};

// What a search writes: k rows and scores a query, best first, padded with -1 and -inf, and how many are real.
struct Answers {
    int64_t k;
    int64_t* rows;
    float* scores;
    int64_t* counts;

    // Writes the best of `scored`, ties to the lower row; reorders it.
    void write(int64_t query, std::vector<Scored>& scored) const;

    // Writes that there is nothing, for each query.
    void write_none(int64_t n_queries) const;
};

// Answers with the best of given candidates: `n_candidates` distinct rows a query, in any order, -1 where there is
// none.
void rank(const Items& items, const float* queries, int64_t n_queries, const int64_t* candidates, int64_t n_candidates,
          const Filter& filter, int threads, const Answers& answers);

}  // namespace mcfast::recall
