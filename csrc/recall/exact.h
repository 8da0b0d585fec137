// Exact search for the k best items. A scan of 8-bit codes filters with a rigorous bound; what is returned is scored by
// the canonical score and ordered by it, ties to the lower row.
#pragma once

#include "recall/codes.h"
#include "recall/ranking.h"
#include "recall/scanner.h"

namespace mcfast::recall {

class Exact {
public:
    // Keeps the pointers of `items`, which must outlive it, and the rows as codes.
    Exact(const Items& items, int threads);

    // For each query (`width` floats, padded with zeros) writes k rows and scores, best first, padded with -1 and -inf,
    // and how many are real.
    void search(const float* queries, int64_t n_queries, int64_t k, const Filter& filter, int threads, int64_t* rows,
                float* scores, int64_t* counts) const;

    const Items& items() const { return items_; }
    int64_t bytes() const { return codes_.bytes(); }  // beside the items

private:
    void scan(Scanner& scanner, int64_t first, int64_t count, const FewLeft& few, int64_t part, int64_t parts) const;

    Items items_;
    Codes codes_;
};

}  // namespace mcfast::recall
