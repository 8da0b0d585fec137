// The items that are searched, and the one score that is ever returned for them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"

namespace mcfast::recall {

enum class Metric { ip, l2 };  // cosine is ip between unit rows

// Pointers to `n` rows of `width` numbers, padded with zeros, to an offset an item (null for 0; ip only), and to the
// distinct numbers that answers have for them (null for 0 .. n-1). The rows are fp32, or finite fp16, which counts as
// what the vectors are.
struct Items {
    const float* rows;
    int64_t n, width;
    const float* offsets;
    Metric metric;
    const int32_t* ids = nullptr;
    const uint16_t* halves = nullptr;  // in place of rows

    float offset(int64_t i) const { return offsets ? offsets[i] : 0; }
    int32_t id(int64_t i) const { return ids ? ids[i] : static_cast<int32_t>(i); }

    const float* row(int64_t i) const { return rows + i * width; }  // of fp32 items
    // A row as fp32: where it stands, or written to `room`.
    const float* row(int64_t i, float* room) const {
        if (!halves) return rows + i * width;
        for (int64_t k = 0; k < width; ++k) room[k] = widened(halves[i * width + k]);
        return room;
    }
    const void* address(int64_t i) const {
        return halves ? static_cast<const void*>(halves + i * width) : static_cast<const void*>(rows + i * width);
    }
    int64_t row_bytes() const { return width * (halves ? 2 : 4); }

    // What a scan adds to the inner product, so that scores order the items of a query: for l2 minus half the square.
    bool scan_offsets() const { return offsets || metric == Metric::l2; }
    float scan_offset(int64_t i) const { return metric == Metric::ip ? offset(i) : static_cast<float>(-square(i) / 2); }

    static double dot(const float* a, const float* b, int64_t width) {
        return kernels::active().score->dot(a, b, width);
    }
    double dot(const float* query, int64_t i) const {
        return halves ? kernels::active().score->dot_half(query, halves + i * width, width)
                      : dot(query, rows + i * width, width);
    }
    double square(int64_t i) const {
        return halves ? kernels::active().score->square_half(halves + i * width, width) : dot(rows + i * width, i);
    }

    // ip: fl32(<a, b> + c_b). l2: minus the squared distance, fl32(2 <a, b> - <b, b> - <a, a>), where `query_square` is
    // <a, a>; never above 0, which the rounding of the float64 sums might else allow. Both from canonical dot products.
    float score(const float* query, double query_square, int64_t i) const {
        if (metric == Metric::ip) return static_cast<float>(dot(query, i) + offset(i));
        return static_cast<float>(std::min(2 * dot(query, i) - square(i) - query_square, 0.0));
    }

    static float widened(uint16_t half) {
        const uint32_t bits = uint32_t{half & 0x7fffu} << 13;
        float size;
        std::memcpy(&size, &bits, sizeof size);
        return (half & 0x8000 ? -0x1p112f : 0x1p112f) * size;
    }
};

// Writes each row divided by its length, computed in float64 and rounded to fp32; rows of zeros stay.
void unit_rows(const float* rows, int64_t n, int64_t width, int threads, float* to);

}  // namespace mcfast::recall
