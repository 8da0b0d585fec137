// Ids to rows: integers numbered by first appearance.
#pragma once

#include <cstdint>
#include <vector>

namespace mcfast::data {

template <class T>
struct Span {
    const T* values;
    int64_t size;
};

// Numbers the distinct values of the chunks, taken one after the other, by first appearance. Writes a row for each
// value to `rows` and returns the distinct values in order of their rows. More than 2^31 - 1 of them:
// std::length_error. T is int32_t or int64_t.
template <class T>
std::vector<int64_t> encode(const std::vector<Span<T>>& chunks, int32_t* rows, int threads);

}  // namespace mcfast::data
