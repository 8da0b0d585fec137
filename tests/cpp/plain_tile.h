// A tile of softmax by plain loops in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kernels.h"

namespace mcfast::test {

struct Plain {
    double loss = 0;
    std::vector<double> users, items, negatives;
};

inline Plain plain_softmax(const kernels::Tile& t) {
    const auto size = [&](int64_t n) { return static_cast<size_t>(n * t.width); };
    Plain out{0, std::vector<double>(size(t.rows)), std::vector<double>(size(t.rows)),
              std::vector<double>(size(t.columns))};
    const auto dot = [&](const float* a, const float* b) {
        double sum = 0;
        for (int64_t k = 0; k < t.width; ++k) sum += static_cast<double>(a[k]) * b[k];
        return sum;
    };
    for (int64_t r = 0; r < t.rows; ++r) {
        const float* const user = t.users + r * t.width;
        const double own = std::exp(dot(user, t.items + r * t.width));
        std::vector<double> e(static_cast<size_t>(t.columns));
        double total = own;
        for (int64_t j = 0; j < t.columns; ++j) {
            const int32_t *const from = t.hidden + t.hidden_indptr[r], *const to = t.hidden + t.hidden_indptr[r + 1];
            if (std::find(from, to, j) == to)
                e[static_cast<size_t>(j)] =
                    std::exp(dot(user, t.negatives + j * t.width) - t.corrections[j] - t.row_corrections[r]);
            total += e[static_cast<size_t>(j)];
        }
        out.loss += std::log(total / own);
        for (int64_t k = 0; k < t.width; ++k) {
            const auto at = static_cast<size_t>(r * t.width + k);
            out.users[at] += (own / total - 1) * t.items[at];
            out.items[at] += (own / total - 1) * t.users[at];
            for (int64_t j = 0; j < t.columns; ++j) {
                const auto negative = static_cast<size_t>(j * t.width + k);
                out.users[at] += e[static_cast<size_t>(j)] / total * t.negatives[negative];
                out.negatives[negative] += e[static_cast<size_t>(j)] / total * t.users[at];
            }
        }
    }
    return out;
}

}  // namespace mcfast::test
