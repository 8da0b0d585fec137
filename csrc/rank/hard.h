// Hard negatives: of a large random pool the items that score best for each user of a tile, or items that were given
// for the user. Each positive brings its share, and all of its tile meet them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "memory.h"

namespace mcfast::rank {

// Items of users, as in CSR, rising for each user.
struct Lists {
    std::vector<int64_t> indptr;
    std::vector<int32_t> items;

    const int32_t* begin(int32_t user) const { return items.data() + indptr[static_cast<size_t>(user)]; }
    const int32_t* end(int32_t user) const { return begin(user + 1); }
    bool empty() const { return indptr.empty(); }
};

// Of pairs (user, item).
Lists lists(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users);

// Writes the vectors of n items.
using Read = std::function<void(const int32_t* items, int64_t n, float* to)>;

class Miner {
public:
    // The random pool of a tile, by rising item.
    Miner(int64_t pool_size, uint64_t seed) : pool_size_(pool_size), seed_(seed) {}

    // n items: the place i is for the row i % rows, whose user is users[i % rows] and vector the row of `vectors`; of
    // its items of the pool that are not `known`, the best first. Where there are too few, what the pool has.
    void mine(uint32_t epoch, uint32_t tile, int64_t n, const int32_t* users, const float* vectors, int64_t rows,
              int64_t n_items, const Read& read, int64_t width, const Lists& known, std::vector<int32_t>& to);

private:
    int64_t pool_size_;
    uint64_t seed_;
    std::vector<int32_t> pool_;
    Buffer<float> vectors_, transposed_, scores_;
};

// As Miner::mine, but random items of the lists of the users; of all items for users without any.
void pick(uint32_t epoch, uint32_t tile, int64_t n, const int32_t* users, int64_t rows, int64_t n_items,
          const Lists& given, uint64_t seed, std::vector<int32_t>& to);

}  // namespace mcfast::rank
