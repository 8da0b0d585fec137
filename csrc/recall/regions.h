// Approximate search inside the regions that are nearest to a query, by the scan of the exact search.
#pragma once

#include <memory>

#include "recall/codes.h"
#include "recall/cut.h"
#include "recall/ranking.h"

namespace mcfast::recall {

class Regions {
public:
    // Keeps the pointers of `items` and those to the directions, which must outlive it.
    Regions(const Items& items, const int32_t* order, const std::vector<Region>& regions, const float* directions,
            int threads);

    // As Exact::search, but a query leaves out a region where an item needs more than `reach` standard deviations of
    // the region's scores to enter the k best found so far. An infinite reach leaves out nothing.
    void search(const float* queries, int64_t n_queries, int64_t k, const Filter& filter, double reach, int threads,
                const Answers& answers) const;

    const Items& items() const { return items_; }
    // Beside the items.
    int64_t bytes() const { return codes_.bytes() + (direction_codes_ ? direction_codes_->bytes() : 0); }

private:
    // Numbers of a region that make the mean and the variance of its scores, with those of a query and its direction.
    struct Spread {
        int32_t direction;
        float length, offset;
        float along, across, offsets;  // variances
    };

    std::vector<float> dots(const float* query, const QueryCodes& code) const;
    // The regions as a heap, by what their best item may score, about.
    std::vector<uint64_t> heap(const float* query, const QueryCodes& code, double reach) const;
    void fetch(size_t region) const;

    Items items_;
    const float* directions_;
    std::unique_ptr<const Codes> direction_codes_;  // none for l2
    std::vector<float> squares_;                    // of the lengths of directions
    std::vector<Spread> spreads_;
    std::vector<size_t> first_chunk_;  // of each region, and the number of chunks
    Codes codes_;
};

}  // namespace mcfast::recall
