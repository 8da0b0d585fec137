#include "recall/items.h"

#include <cmath>

#include "parallel.h"

namespace mcfast::recall {

void unit_rows(const float* rows, int64_t n, int64_t width, int threads, float* to) {
    parallel::chunks(threads, n, 4096, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const float* const from = rows + i * width;
            const double length = std::sqrt(Items::dot(from, from, width));
            for (int64_t k = 0; k < width; ++k)
                to[i * width + k] = length > 0 ? static_cast<float>(from[k] / length) : 0;
        }
    });
}

}  // namespace mcfast::recall
