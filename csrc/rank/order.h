// The order in which an epoch goes through the positives.
#pragma once

#include <cstdint>
#include <vector>

namespace mcfast::rank {

// The probability that a positive of each item takes part in an epoch, by its positives out of n: that of word2vec
// (Mikolov et al., NIPS 2013), sqrt(share / subsampling) less of what is above it.
std::vector<double> kept(const std::vector<int64_t>& counts, int64_t n, double subsampling);

// The positives, by their items, in random order; of items that are kept in part, a random part.
void shuffle(const std::vector<int32_t>& items, const std::vector<double>& keep, uint64_t seed, uint32_t epoch,
             std::vector<int64_t>& order);

}  // namespace mcfast::rank
