#include "rank/hard.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "kernels/kernels.h"
#include "philox.h"

namespace mcfast::rank {

Lists lists(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users) {
    Lists out;
    out.indptr.resize(static_cast<size_t>(n_users) + 1);
    for (int64_t i = 0; i < n; ++i) ++out.indptr[static_cast<size_t>(users[i]) + 1];
    std::partial_sum(out.indptr.begin(), out.indptr.end(), out.indptr.begin());
    out.items.resize(static_cast<size_t>(n));
    std::vector<int64_t> at(out.indptr);
    for (int64_t i = 0; i < n; ++i) out.items[static_cast<size_t>(at[static_cast<size_t>(users[i])]++)] = items[i];
    for (size_t u = 0; u + 1 < out.indptr.size(); ++u)
        std::sort(out.items.begin() + out.indptr[u], out.items.begin() + out.indptr[u + 1]);
    return out;
}

void Miner::mine(uint32_t epoch, uint32_t tile, int64_t n, const int32_t* users, const float* vectors, int64_t rows,
                 int64_t n_items, const Read& read, int64_t width, const Lists& known, std::vector<int32_t>& to) {
    pool_.clear();
    for (uint32_t block = 0; static_cast<int64_t>(pool_.size()) < pool_size_; ++block)
        for (const uint32_t bits : philox(seed_, {block, tile, epoch, static_cast<uint32_t>(Stream::pool)}))
            pool_.push_back(static_cast<int32_t>(below(bits, static_cast<uint32_t>(n_items))));
    std::sort(pool_.begin(), pool_.end());
    pool_.erase(std::unique(pool_.begin(), pool_.end()), pool_.end());
    const auto size = static_cast<int64_t>(pool_.size());
    const int64_t stride = kernels::padded(size), room = kernels::padded(pool_size_ + 3);
    if (vectors_.size() == 0) {
        vectors_ = Buffer<float>(room * width);
        transposed_ = Buffer<float>(room * width);
        scores_ = Buffer<float>(kernels::strip_rows * room);
    }
    read(pool_.data(), size, vectors_.data());
    const kernels::TileTable& table = *kernels::active().tile;
    table.transpose(vectors_.data(), size, width, transposed_.data());

    to.resize(static_cast<size_t>(n));
    std::vector<std::pair<float, int64_t>> best(static_cast<size_t>(size));
    for (int64_t first = 0; first < rows; first += kernels::strip_rows) {
        const int64_t strip = std::min(kernels::strip_rows, rows - first);
        table.products(vectors + first * width, strip, width, transposed_.data(), stride, scores_.data());
        for (int64_t r = first; r < first + strip; ++r) {
            const float* const scores = scores_.data() + (r - first) * stride;
            for (int64_t j = 0; j < size; ++j) best[static_cast<size_t>(j)] = {-scores[j], j};
            const int32_t user = users[r];
            auto at = pool_.begin();
            for (const int32_t* item = known.begin(user); item != known.end(user); ++item) {
                at = std::lower_bound(at, pool_.end(), *item);
                if (at != pool_.end() && *at == *item)
                    best[static_cast<size_t>(at - pool_.begin())].first = std::numeric_limits<float>::infinity();
            }
            const int64_t wanted = n / rows + (r < n % rows), found = std::min(wanted, size);
            std::partial_sort(best.begin(), best.begin() + found, best.end());
            for (int64_t i = 0; i < wanted; ++i)
                to[static_cast<size_t>(i * rows + r)] =
                    pool_[static_cast<size_t>(best[static_cast<size_t>(i % size)].second)];
        }
    }
}

void pick(uint32_t epoch, uint32_t tile, int64_t n, const int32_t* users, int64_t rows, int64_t n_items,
          const Lists& given, uint64_t seed, std::vector<int32_t>& to) {
    to.resize(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
        const int32_t user = users[i % rows];
        const auto count = static_cast<uint32_t>(given.end(user) - given.begin(user));
        const auto bits = philox(seed, {static_cast<uint32_t>(i), tile, epoch, static_cast<uint32_t>(Stream::pool)})[0];
        to[static_cast<size_t>(i)] = count > 0 ? given.begin(user)[below(bits, count)]
                                               : static_cast<int32_t>(below(bits, static_cast<uint32_t>(n_items)));
    }
}

}  // namespace mcfast::rank
