// Items cut into regions of neighbours by k-means; for inner products, of one direction and about one length.
#pragma once

#include <cstdint>
#include <vector>

#include "memory.h"
#include "recall/items.h"

namespace mcfast::recall {

// What is known of the items of a region beside their centre: how their scores lie around that of the centre.
struct Region {
    int64_t size;
    float along;          // standard deviation in the direction of the centre, where lengths differ
    float across;         // and along any one axis at right angles to it
    float offset;         // mean of what a scan adds to inner products
    float offset_spread;  // and its standard deviation, for ip
};

struct Cut {
    std::vector<int32_t> order;  // rows, region by region
    std::vector<Region> regions;
    Buffer<float> centres;  // a row of `width` floats each
};

// Cuts items into regions around at most `n_centres` centres, none of them empty; the same for any number of threads.
Cut cut(const Items& items, int64_t n_centres, uint64_t seed, int threads);

}  // namespace mcfast::recall
