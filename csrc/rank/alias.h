// Draws from a discrete distribution in constant time (Walker 1977; Vose, IEEE TSE 1991).
#pragma once

#include <cstdint>
#include <vector>

namespace mcfast::rank {

class Alias {
public:
    // Weights >= 0 with a positive sum.
    explicit Alias(const std::vector<double>& weights);

    // Two independent words of 32 random bits make a draw; probabilities are exact to 2^-32.
    int32_t draw(uint32_t place, uint32_t toss) const;

private:
    std::vector<uint32_t> keep_;  // probability of staying, times 2^32
    std::vector<int32_t> other_;
};

}  // namespace mcfast::rank
