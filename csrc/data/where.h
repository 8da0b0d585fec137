// Which rows have one of some values.
#pragma once

#include <cstdint>

namespace mcfast::data {

// Writes 1 for each of n rows that has a value which is chosen, 0 for the others. `codes` are numbers of values, -1 for
// none: one a row, or, where `indptr` is not null, codes[indptr[i]] .. codes[indptr[i + 1] - 1] of row i.
void where(const int32_t* codes, const int64_t* indptr, int64_t n, const uint8_t* chosen, uint8_t* to);

}  // namespace mcfast::data
