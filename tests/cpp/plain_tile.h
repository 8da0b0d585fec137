// A tile of softmax by plain loops in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kernels.h"
#include "support.h"

namespace mcfast::test {

// A tile of `next()` numbers with room for what comes of it. Every row hides the columns that hidden(row) returns.
struct TileProblem {
    template <class Next, class Hidden>
    TileProblem(int64_t rows, int64_t columns, int64_t factors, const Next& next, const Hidden& hidden)
        : width(kernels::padded(factors)),
          stride(kernels::padded(columns)),
          users(matrix(rows, factors, next)),
          items(matrix(rows, factors, next)),
          negatives(stride * width),
          corrections(matrix(1, columns, next)),
          row_corrections(matrix(1, rows, next)) {
        const Buffer<float> drawn = matrix(columns, factors, next);
        std::fill(negatives.begin(), negatives.end(), 0.0f);
        std::copy(drawn.begin(), drawn.end(), negatives.begin());
        for (int64_t r = 0; r < rows; ++r) {
            const std::vector<int32_t> own = hidden(r);
            hidden_rows.insert(hidden_rows.end(), own.begin(), own.end());
            indptr.push_back(static_cast<int32_t>(hidden_rows.size()));
        }
        tile = {rows,
                columns,
                width,
                users.data(),
                items.data(),
                negatives.data(),
                corrections.data(),
                row_corrections.data(),
                indptr.data(),
                hidden_rows.data(),
                of_users.data(),
                of_items.data(),
                of_negatives.data(),
                transposed.data(),
                scores.data()};
    }

    int64_t width, stride;
    Buffer<float> users, items, negatives, corrections, row_corrections;
    std::vector<int32_t> indptr{0}, hidden_rows;
    Buffer<float> of_users{users.size()}, of_items{items.size()}, of_negatives{negatives.size()};
    Buffer<float> transposed{stride * width}, scores{kernels::strip_rows * stride};
    kernels::Tile tile;
};

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
