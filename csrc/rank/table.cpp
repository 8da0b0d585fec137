#include "rank/table.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "parallel.h"

namespace mcfast::rank {
namespace {

constexpr int64_t grain = 4096;  // rows
constexpr float tiny = 1e-20f;   // what a sum of squares is told from 0 by
constexpr float first_decay = 0.9f, second_decay = 0.999f;

float dot(const float* a, const float* b, int64_t width) {
    float lane[16] = {};
    for (int64_t k = 0; k < width; k += 16)
        for (int64_t i = 0; i < 16; ++i) lane[i] += a[k + i] * b[k + i];
    for (int n = 8; n > 0; n /= 2)
        for (int i = 0; i < n; ++i) lane[i] += lane[i + n];
    return lane[0];
}

}  // namespace

void normalise(float* x, int64_t width) {
    const float square = dot(x, x, width);
    if (!(square > 0)) return;
    const float by = 1 / std::sqrt(square);
    for (int64_t k = 0; k < width; ++k) x[k] *= by;
}

Table::Table(int64_t n_rows, int64_t factors, int64_t width, Optimizer optimizer)
    : n_rows_(n_rows),
      factors_(factors),
      width_(width),
      rows_(n_rows * width),
      momentum_(optimizer == Optimizer::adam ? n_rows * width : 0),
      squares_(n_rows),
      counts_(optimizer == Optimizer::adam ? n_rows : 0) {
    std::fill(momentum_.begin(), momentum_.end(), 0.0f);
    std::fill(squares_.begin(), squares_.end(), 0.0f);
    std::fill(counts_.begin(), counts_.end(), 0);
}

void Table::initialise(const int64_t* used, float noise, bool unit, uint64_t seed, Stream stream, int threads) {
    parallel::chunks(threads, n_rows_, grain, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
            float* const to = row(r);
            for (int64_t k = 0; k < width_; k += 4) {
                const auto bits = philox(
                    seed, {static_cast<uint32_t>(r), static_cast<uint32_t>(k / 4), 0, static_cast<uint32_t>(stream)});
                for (int64_t i = 0; i < 4; ++i)
                    to[k + i] =
                        used[r] == 0 || k + i >= factors_ ? 0.0f : noise * symmetric(bits[static_cast<size_t>(i)]);
            }
            if (unit) normalise(to, width_);
        }
    });
}

// AdaGrad with one sum a row (Duchi, Hazan, Singer, JMLR 2011), which starts at 0: steps do not change where all
// gradients are multiplied by a number. Adam (Kingma, Ba, ICLR 2015) with one mean square a row and a clock a row, that
// goes only when the row is met.
void Table::step(int64_t r, float* gradient, const Steps& how) {
    float* const x = row(r);
    if (how.unit) {  // the part along the row would only lengthen it
        const float square = dot(x, x, width_), along = square > 0 ? dot(gradient, x, width_) / square : 0;
        for (int64_t k = 0; k < width_; ++k) gradient[k] -= along * x[k];
    }
    const float mean_square = dot(gradient, gradient, width_) / static_cast<float>(factors_);
    if (how.optimizer == Optimizer::adagrad) {
        squares_[r] += mean_square;
        const float rate = how.learning_rate / std::sqrt(squares_[r] + tiny);
        for (int64_t k = 0; k < width_; ++k) x[k] -= rate * gradient[k];
    } else {
        const auto t = static_cast<float>(++counts_[r]);
        squares_[r] = second_decay * squares_[r] + (1 - second_decay) * mean_square;
        const float mean = squares_[r] / (1 - std::pow(second_decay, t));
        const float rate = how.learning_rate / (1 - std::pow(first_decay, t)) / std::sqrt(mean + tiny);
        float* const momentum = momentum_.data() + r * width_;
        for (int64_t k = 0; k < width_; ++k) {
            momentum[k] = first_decay * momentum[k] + (1 - first_decay) * gradient[k];
            x[k] -= rate * momentum[k];
        }
    }
    if (how.unit) normalise(x, width_);
}

void Table::copy_from(const Table& other, int threads) {
    parallel::chunks(threads, n_rows_, grain, [&](int64_t, int64_t begin, int64_t end) {
        std::copy(other.row(begin), other.row(end), row(begin));
        std::copy(other.squares_.begin() + begin, other.squares_.begin() + end, squares_.begin() + begin);
        if (momentum_.size() == 0) return;
        std::copy(other.momentum_.begin() + begin * width_, other.momentum_.begin() + end * width_,
                  momentum_.begin() + begin * width_);
        std::copy(other.counts_.begin() + begin, other.counts_.begin() + end, counts_.begin() + begin);
    });
}

bool Table::finite(int threads) const {
    std::atomic<bool> all{true};
    parallel::chunks(threads, n_rows_, grain, [&](int64_t, int64_t begin, int64_t end) {
        float sum = 0;  // x - x is 0 for every finite x and NaN for the others
        for (const float* x = row(begin); x != row(end); ++x) sum += *x - *x;
        for (int64_t r = begin; r < end; ++r) sum += squares_[r] - squares_[r];
        if (!(sum == 0)) all.store(false, std::memory_order_relaxed);
    });
    return all;
}

}  // namespace mcfast::rank
