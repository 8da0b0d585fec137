#include "recall/codes.h"

#include <cmath>
#include <limits>

#include "parallel.h"

namespace mcfast::recall {
namespace {

using kernels::Bias;
using kernels::block_width;
using kernels::code_bias;
using kernels::panel_rows;
using kernels::query_codes;

constexpr int item_codes = 127;
// The largest norm, in steps, of what a 16-bit lane sums. Rounding the 32 numbers adds at most sqrt(32) / 2, so that
// two such norms multiply to at most 32761, and so does any sum, by Cauchy-Schwarz.
constexpr double lane_norm = 178;
// The least step where there are offsets: 1 / (step * step) and its products with them stay in the range of fp32.
constexpr double least_step = 1e-15;

// What decides on the step of a vector.
struct Extent {
    double largest = 0;      // of the absolute values
    double lane_square = 0;  // the largest squared norm of what one lane sums

    void add(const float* v, int64_t width) {
        for (int64_t k = 0; k < width; k += block_width) {
            double lanes[2] = {0, 0};
            for (int64_t i = k; i < std::min(width, k + block_width); ++i) {
                lanes[i % 4 / 2] += static_cast<double>(v[i]) * v[i];
                largest = std::max(largest, std::fabs(static_cast<double>(v[i])));
            }
            lane_square = std::max({lane_square, lanes[0], lanes[1]});
        }
    }

    double step(int most, bool offsets) const {
        const double step = std::max({largest / most, std::sqrt(lane_square) / lane_norm, offsets ? least_step : 0.0});
        return step > 0 ? step : 1;
    }
};

// Writes the code of a vector and returns the norm of the error, rounded up. `norm` is that of the vector.
template <class Write>
double encode(const float* v, int64_t width, double step, int most, double norm, const Write& write) {
    const double inverse = 1 / step;
    double square = 0;
    for (int64_t k = 0; k < width; ++k) {
        const int code = std::clamp(static_cast<int>(std::lrint(v[k] * inverse)), -most, most);
        const double error = v[k] - step * code;
        square += error * error;
        write(k, code);
    }
    return 1.000001 * std::sqrt(square) + 1e-12 * norm;
}

double norm_of(const float* v, int64_t width) { return 1.000001 * std::sqrt(Items::dot(v, v, width)); }

}  // namespace

Codes::Codes(const Items& items, const int32_t* order, const std::vector<int64_t>& ends, int threads)
    : width_(items.width) {
    int64_t n_panels = 0, begin = 0;
    for (const int64_t end : ends) {
        chunks_.push_back({n_panels, (end - begin + panel_rows - 1) / panel_rows, 1, 1, 0, 0, 0, 0});
        n_panels += chunks_.back().n_panels;
        begin = end;
    }
    panels_ = Buffer<uint8_t>(n_panels * panel_rows * width_);
    rows_ = Buffer<int32_t>(n_panels * panel_rows);
    if (items.scan_offsets()) offsets_ = Buffer<float>(n_panels * panel_rows);
    parallel::chunks(threads, static_cast<int64_t>(ends.size()), 1, [&](int64_t i, int64_t, int64_t) {
        const int64_t first = i ? ends[static_cast<size_t>(i) - 1] : 0;
        encode(items, order + first, ends[static_cast<size_t>(i)] - first, chunks_[static_cast<size_t>(i)]);
    });
}

void Codes::encode(const Items& items, const int32_t* order, int64_t n, Chunk& chunk) {
    const bool with_offsets = offsets_.size() > 0;
    Extent extent;
    std::vector<float> room(static_cast<size_t>(width_));
    for (int64_t i = 0; i < n; ++i) extent.add(items.row(order[i], room.data()), width_);
    chunk.step = extent.step(item_codes, with_offsets);
    chunk.inverse = 1 / chunk.step;
    chunk.offset = -std::numeric_limits<double>::infinity();
    for (int64_t i = 0; i < chunk.n_panels * panel_rows; ++i) {
        const int64_t place = chunk.first_panel * panel_rows + i;
        uint8_t* const panel = panels_.data() + place / panel_rows * panel_rows * width_ + i % panel_rows * 4;
        const auto write = [&](int64_t k, int code) {
            panel[k / 4 * panel_rows * 4 + k % 4] = static_cast<uint8_t>(code + code_bias);
        };
        rows_[place] = i < n ? order[i] : -1;
        if (i >= n) {
            for (int64_t k = 0; k < width_; ++k) write(k, 0);
            if (with_offsets) offsets_[place] = -std::numeric_limits<float>::infinity();
            continue;
        }
        const float* const row = items.row(order[i], room.data());
        const double norm = norm_of(row, width_);
        chunk.norm = std::max(chunk.norm, norm);
        chunk.error = std::max(chunk.error, recall::encode(row, width_, chunk.step, item_codes, norm, write));
        const float offset = items.scan_offset(order[i]);
        if (with_offsets) offsets_[place] = offset;
        chunk.offset = std::max(chunk.offset, static_cast<double>(offset));
        chunk.offset_size = std::max(chunk.offset_size, std::fabs(static_cast<double>(offset)));
    }
}

int64_t Codes::bytes() const { return panels_.size() + 4 * offsets_.size() + 4 * rows_.size(); }

QueryCodes::QueryCodes(const float* query, int64_t width, bool offsets)
    : norm(norm_of(query, width)),
      codes(static_cast<size_t>(width)),
      biases(static_cast<size_t>((width + block_width - 1) / block_width)) {
    Extent extent;
    extent.add(query, width);
    step = extent.step(query_codes, offsets);
    inverse = 1 / step;
    double square = 0;
    std::vector<int32_t> lanes(2 * biases.size());
    error = encode(query, width, step, query_codes, norm, [&](int64_t k, int code) {
        codes[static_cast<size_t>(k)] = static_cast<int8_t>(code);
        square += code * code;
        lanes[static_cast<size_t>(k / block_width * 2 + k % 4 / 2)] -= code_bias * code;
    });
    coded_norm = 1.000001 * step * std::sqrt(square);
    for (size_t block = 0; block < biases.size(); ++block) {
        const int32_t low = lanes[2 * block], high = lanes[2 * block + 1];
        biases[block] = {static_cast<uint32_t>(high) << 16 | (static_cast<uint32_t>(low) & 0xffff), low + high};
    }
}

}  // namespace mcfast::recall
