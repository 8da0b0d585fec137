// Pairs (user, item) of a list of triples: the rows that repeat one, and the items of each user as CSR.
#pragma once

#include <cstdint>
#include <vector>

namespace mcfast::data {

// For each of n triples the index of the first one with the same pair. Returns the number of triples that repeat an
// earlier one; when it is 0, `first` is left empty.
int64_t first_of_pair(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int32_t n_items,
                      std::vector<int64_t>& first, int threads);

struct Csr {
    std::vector<int64_t> indptr;  // n_users + 1
    std::vector<int32_t> rows;    // sorted and distinct inside a user
};

// The distinct items of each user.
Csr items_of_users(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int threads);

}  // namespace mcfast::data
