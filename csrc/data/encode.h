// Ids to rows: integers numbered by first appearance.
#pragma once

#include <cstdint>
#include <vector>

namespace mcfast::data {

struct Span {
    const int64_t* values;
    int64_t size;
};

// Numbers the distinct values of the chunks, taken one after the other, by first appearance. Writes a row for each
// value to `rows` and returns the distinct values in order of their rows. More than 2^31 - 1 of them:
// std::length_error.
std::vector<int64_t> encode(const std::vector<Span>& chunks, int32_t* rows, int threads);

}  // namespace mcfast::data
