#include "rank/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/kernels.h"
#include "philox.h"

namespace mcfast::rank {

Sampler::Sampler(const Sampling& sampling, const std::vector<double>& counts, uint64_t seed)
    : sampling_(sampling), seed_(seed), probabilities_(counts.size()), corrections_(counts.size()) {
    const auto n_items = static_cast<int64_t>(counts.size());
    for (Part& part : sampling_.parts) {
        if (part.source == Source::all) part.n = n_items;
        (part.source == Source::hard ? hard_ : drawn_) += part.n;
    }
    for (const Part& part : sampling_.parts) {
        if (part.source == Source::hard) continue;
        const double exponent = part.source == Source::popularity ? sampling.exponent
                                : part.source == Source::in_batch ? 1.0
                                                                  : 0.0;
        std::vector<double> weights(counts.size());
        std::transform(counts.begin(), counts.end(), weights.begin(), [&](double count) {
            return exponent == 0 ? 1.0 : count > 0 ? std::pow(count, exponent) : 0.0;
        });
        const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
        const double share = static_cast<double>(part.n) / static_cast<double>(drawn_);
        for (size_t i = 0; i < counts.size(); ++i) probabilities_[i] += share * weights[i] / total;
        if (part.source == Source::popularity) popular_.emplace(weights);
    }
    for (size_t i = 0; i < counts.size(); ++i)
        if (sampling.logq > 0 && probabilities_[i] > 0)
            corrections_[i] =
                static_cast<float>(sampling.logq * std::log(static_cast<double>(drawn_) * probabilities_[i]));
}

void Sampler::draw(uint32_t epoch, uint32_t tile, const int32_t* batch, int64_t n, int64_t first,
                   const std::vector<int32_t>& hard, Negatives& to) const {
    const auto n_items = static_cast<uint32_t>(probabilities_.size());
    to.items = hard;
    uint32_t block = 0;  // of random bits
    const auto random = [&] { return philox(seed_, {block++, tile, epoch, static_cast<uint32_t>(Stream::negatives)}); };
    for (const Part& part : sampling_.parts) {
        if (part.source == Source::hard) continue;
        const size_t end = to.items.size() + static_cast<size_t>(part.n);
        switch (part.source) {
            case Source::uniform:
                while (to.items.size() < end)
                    for (const uint32_t bits : random())
                        if (to.items.size() < end) to.items.push_back(static_cast<int32_t>(below(bits, n_items)));
                break;
            case Source::popularity:
                while (to.items.size() < end) {
                    const auto bits = random();
                    to.items.push_back(popular_->draw(bits[0], bits[1]));
                    if (to.items.size() < end) to.items.push_back(popular_->draw(bits[2], bits[3]));
                }
                break;
            case Source::in_batch:
                for (int64_t i = 0; to.items.size() < end; ++i) to.items.push_back(batch[(first + i) % n]);
                break;
            case Source::all:
                for (int32_t i = 0; to.items.size() < end; ++i) to.items.push_back(i);
                break;
            case Source::hard: break;
        }
    }
    to.keys.resize(to.items.size());
    for (size_t j = 0; j < to.items.size(); ++j) to.keys[j] = 2 * int64_t{to.items[j]} + (j < hard.size());
    std::sort(to.keys.begin(), to.keys.end());
    to.corrections.resize(static_cast<size_t>(kernels::padded(size())));
    for (size_t j = 0; j < to.items.size(); ++j) {
        to.items[j] = static_cast<int32_t>(to.keys[j] / 2);
        to.corrections[j] = to.keys[j] % 2 ? 0 : corrections_[static_cast<size_t>(to.items[j])];
    }
}

float Sampler::row_correction(int32_t item, int64_t count) const {
    if (!sampling_.corrected || count == 0) return 0;
    const double others = std::max(1 - probabilities_[static_cast<size_t>(item)], 1e-12);
    return static_cast<float>(std::log(static_cast<double>(count) / static_cast<double>(drawn_)) - std::log(others));
}

}  // namespace mcfast::rank
