#include "data/where.h"

namespace mcfast::data {

void where(const int32_t* codes, const int64_t* indptr, int64_t n, const uint8_t* chosen, uint8_t* to) {
    const auto has = [&](int64_t i) { return codes[i] >= 0 ? chosen[codes[i]] : uint8_t{0}; };
    for (int64_t row = 0; row < n; ++row) {
        if (!indptr) {
            to[row] = has(row);
            continue;
        }
        to[row] = 0;
        for (int64_t i = indptr[row]; i < indptr[row + 1]; ++i) to[row] |= has(i);
    }
}

}  // namespace mcfast::data
