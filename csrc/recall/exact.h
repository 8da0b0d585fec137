// Exact search for the k largest <a, b> + c_b. An fp32 scan filters with a rigorous bound; what is returned is scored
// by the canonical score and ordered by it, ties to the lower row.
#pragma once

#include <cstdint>
#include <vector>

#include "memory.h"

namespace mcfast::recall {

// Rows that a query may not get. All parts are optional.
struct Filter {
    const int64_t* exclude_indptr = nullptr;  // CSR over the queries; rows sorted inside a query
    const int32_t* exclude_rows = nullptr;
    const uint8_t* allow = nullptr;  // one byte a row, not 0: may be returned
};

class Exact {
public:
    // Keeps pointers to `rows` (n rows of `width` floats, padded with zeros) and `offsets` (n, or null for 0), which
    // must outlive it, and a copy of the rows in panels.
    Exact(const float* rows, int64_t n, int64_t width, const float* offsets, int threads);

    // For each query (`width` floats, padded with zeros) writes k rows and scores, best first, padded with -1 and -inf,
    // and how many are real.
    void search(const float* queries, int64_t n_queries, int64_t k, const Filter& filter, int threads, int64_t* rows,
                float* scores, int64_t* counts) const;

    int64_t size() const { return n_; }
    int64_t width() const { return width_; }

private:
    class Search;

    const float* rows_;
    const float* offsets_;
    int64_t n_, width_;
    Buffer<float> panels_;
    std::vector<float> padded_offsets_;
    double max_norm_ = 0, max_offset_ = 0;
};

}  // namespace mcfast::recall
