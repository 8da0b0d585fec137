// What the tiles of a step add to the rows of one side, brought into the order in which it is added: by row, and within
// a row in the order of tiles and of places in them, whatever thread wrote it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mcfast::rank {

struct Contribution {
    uint32_t row : 31, positive : 1;  // or as a negative
    float by;
    const float* gradient;  // times `by`
};

class Contributions {
public:
    void clear() { entries_.clear(); }
    void add(const Contribution& entry) { entries_.push_back(entry); }
    // Sorts, and finds where each row starts.
    void sort(int32_t n_rows);

    int64_t groups() const { return static_cast<int64_t>(starts_.size()) - 1; }
    const Contribution* begin(int64_t group) const { return entries_.data() + starts_[static_cast<size_t>(group)]; }
    const Contribution* end(int64_t group) const { return begin(group + 1); }
    // Begins to fetch what is added a little later than `at`: gradients lie anywhere, many in another core's cache.
    void fetch(const Contribution* at, int64_t width) const {
        constexpr int64_t ahead = 6, line = 16;  // contributions, floats
        if (entries_.data() + entries_.size() - at <= ahead) return;
        for (int64_t k = 0; k < width; k += line) __builtin_prefetch(at[ahead].gradient + k);
    }

private:
    std::vector<Contribution> entries_, sorted_;
    std::vector<int64_t> starts_;
};

}  // namespace mcfast::rank
