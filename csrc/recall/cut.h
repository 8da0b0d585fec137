// Items cut into regions of neighbours by k-means; for inner products, of one direction, and of about one score with
// the queries that come from there.
#pragma once

#include <cstdint>
#include <vector>

#include "memory.h"
#include "recall/items.h"

namespace mcfast::recall {

// What is known of the items of a region: how their scores lie around those of a direction.
struct Region {
    int64_t size;
    int32_t direction;
    float length;         // the mean of their parts along the direction, in lengths of it
    float along;          // and the standard deviation of these parts
    float across;         // and that along any one axis at right angles
    float offset;         // mean of what a scan adds to inner products
    float offset_spread;  // and its standard deviation, for ip
};

struct Cut {
    std::vector<int32_t> order;   // rows, region by region
    std::vector<Region> regions;  // direction by direction
    Buffer<float> directions;     // a row of `width` floats each; of unit length for ip, centres for l2
};

// Cuts fp32 items into regions around at most `n_centres` centres, none empty; the same for any number of threads.
// threads. What `queries`, at least one, score with items of their direction says how lengths weigh against offsets.
Cut cut(const Items& items, const float* queries, int64_t n_queries, int64_t n_centres, uint64_t seed, int threads);

}  // namespace mcfast::recall
