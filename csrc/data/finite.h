// Whether numbers are finite.
#pragma once

#include <cstdint>

namespace mcfast::data {

bool finite(const float* values, int64_t n, int threads);

}  // namespace mcfast::data
