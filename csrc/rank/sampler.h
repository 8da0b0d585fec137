// Negatives: which items a tile is trained against, and what their scores are corrected by.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "rank/alias.h"

namespace mcfast::rank {

// Where negatives come from: all items alike, items by their count of positives to a power, the items of the positives
// of the same step, every item once; or what is hard for the users of the tile, see hard.h.
enum class Source { uniform, popularity, in_batch, all, hard };

struct Part {
    Source source;
    int64_t n;  // negatives of a tile
};

struct Sampling {
    std::vector<Part> parts;
    double exponent = 0.75;  // of popularity
    double logq = 0;         // share of the correction for drawing what is likely to be drawn
    bool corrected = false;  // with logq = 1: of drawing among all items but the positive
};

// Negatives of a tile, by rising item; an item may occur more than once.
struct Negatives {
    std::vector<int64_t> keys;  // 2 * item + hard
    std::vector<int32_t> items;
    std::vector<float> corrections;  // as many and padding
};

class Sampler {
public:
    // `counts`: how many positives each item is expected to have in an epoch.
    Sampler(const Sampling& sampling, const std::vector<double>& counts, uint64_t seed);

    int64_t size() const { return drawn_ + hard_; }
    int64_t hard() const { return hard_; }

    // The negatives of a tile, numbered within its epoch, whose positives are those from `first` of the `n` items of
    // its step; `hard` are the hard ones, which stand for themselves alone: their scores are not corrected.
    void draw(uint32_t epoch, uint32_t tile, const int32_t* batch, int64_t n, int64_t first,
              const std::vector<int32_t>& hard, Negatives& to) const;

    // What comes off all scores of a positive with this item, of whose negatives `count` are left.
    float row_correction(int32_t item, int64_t count) const;

private:
    Sampling sampling_;
    int64_t drawn_ = 0, hard_ = 0;
    uint64_t seed_;
    std::optional<Alias> popular_;
    std::vector<double> probabilities_;  // of being a draw, by item
    std::vector<float> corrections_;     // by item
};

}  // namespace mcfast::rank
