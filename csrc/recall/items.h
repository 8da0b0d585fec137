// The items that are searched, and the one score that is ever returned for them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernels.h"

namespace mcfast::recall {

enum class Metric { ip, l2 };  // cosine is ip between unit rows

// Pointers to `n` rows of `width` floats, padded with zeros, to an offset an item (null for 0; ip only), and to the
// distinct numbers that answers have for them (null for 0 .. n-1).
struct Items {
    const float* rows;
    int64_t n, width;
    const float* offsets;
    Metric metric;
    const int32_t* ids = nullptr;

    const float* row(int64_t i) const { return rows + i * width; }
    float offset(int64_t i) const { return offsets ? offsets[i] : 0; }
    int32_t id(int64_t i) const { return ids ? ids[i] : static_cast<int32_t>(i); }

    // What a scan adds to the inner product, so that scores order the items of a query: for l2 minus half the square.
    bool scan_offsets() const { return offsets || metric == Metric::l2; }
    float scan_offset(int64_t i) const {
        return metric == Metric::ip ? offset(i) : static_cast<float>(-dot(row(i), row(i), width) / 2);
    }

    static double dot(const float* a, const float* b, int64_t width) {
        return kernels::active().score->dot(a, b, width);
    }

    // ip: fl32(<a, b> + c_b). l2: minus the squared distance, fl32(2 <a, b> - <b, b> - <a, a>), where `query_square` is
    // <a, a>; never above 0, which the rounding of the float64 sums might else allow. Both from canonical dot products.
    float score(const float* query, double query_square, int64_t i) const {
        if (metric == Metric::ip) return kernels::active().score->score(query, row(i), width, offset(i));
        const double score = 2 * dot(query, row(i), width) - dot(row(i), row(i), width) - query_square;
        return static_cast<float>(std::min(score, 0.0));
    }
};

// Writes each row divided by its length, computed in float64 and rounded to fp32; rows of zeros stay.
void unit_rows(const float* rows, int64_t n, int64_t width, int threads, float* to);

}  // namespace mcfast::recall
