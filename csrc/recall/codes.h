// Vectors as 8-bit codes for the scan, with what is known of their error. docs/exact.md has the proof.
#pragma once

#include <vector>

#include "memory.h"
#include "recall/items.h"

namespace mcfast::recall {

// Some items that follow each other in the scan and share a step. All norms and errors are rounded up.
struct Chunk {
    int64_t first_panel, n_panels;
    double step;         // a vector is about step * code
    double inverse;      // 1 / step
    double norm;         // the largest |b|
    double error;        // the largest |b - step * code|
    double offset;       // the largest offset
    double offset_size;  // and the largest of their absolute values
};

// All items of `order` in the form of the scan, cut into chunks that end at `ends`.
class Codes {
public:
    Codes(const Items& items, const int32_t* order, const std::vector<int64_t>& ends, int threads);

    int64_t width() const { return width_; }
    const std::vector<Chunk>& chunks() const { return chunks_; }
    const uint8_t* panel(int64_t i) const { return panels_.data() + i * kernels::panel_rows * width_; }
    // The offsets of a panel, null where all are 0.
    const float* offsets(int64_t panel) const {
        return offsets_.size() ? &offsets_[panel * kernels::panel_rows] : nullptr;
    }
    // The row at a place of the scan, -1 where it is empty.
    int32_t row(int64_t place) const { return rows_[place]; }
    int64_t bytes() const;

private:
    void encode(const Items& items, const int32_t* order, int64_t n, Chunk& chunk);

    int64_t width_;
    std::vector<Chunk> chunks_;
    Buffer<uint8_t> panels_;
    Buffer<float> offsets_;
    Buffer<int32_t> rows_;
};

// A query in the form of the scan. All norms and errors are rounded up.
class QueryCodes {
public:
    QueryCodes(const float* query, int64_t width, bool offsets);

    double norm;        // |a|
    double step;        // a is about step * code
    double inverse;     // 1 / step
    double error;       // |a - step * code|
    double coded_norm;  // |step * code|
    std::vector<int8_t> codes;
    std::vector<kernels::Bias> biases;
};

}  // namespace mcfast::recall
