// Exact search for the k best items. An fp32 scan filters with a rigorous bound; what is returned is scored by the
// canonical score and ordered by it, ties to the lower row.
#pragma once

#include <vector>

#include "memory.h"
#include "recall/ranking.h"

namespace mcfast::recall {

class Exact {
public:
    // Keeps pointers to `rows` (n rows of `width` floats, padded with zeros) and `offsets` (n, or null for 0), which
    // must outlive it, and a copy of the rows in panels.
    Exact(const float* rows, int64_t n, int64_t width, const float* offsets, int threads, Metric metric = Metric::ip);

    // For each query (`width` floats, padded with zeros) writes k rows and scores, best first, padded with -1 and -inf,
    // and how many are real.
    void search(const float* queries, int64_t n_queries, int64_t k, const Filter& filter, int threads, int64_t* rows,
                float* scores, int64_t* counts) const;

    const Items& items() const { return items_; }

private:
    class Search;

    double error(double query_norm) const;

    Items items_;
    int64_t n_panels_;
    Buffer<float> panels_;
    std::vector<float> offsets_;  // what the scan adds: the item's offset, or -|b|^2/2 for l2
    double max_norm_ = 0, max_offset_ = 0;
};

}  // namespace mcfast::recall
