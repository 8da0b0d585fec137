// Sets of rows, a bit each.
#pragma once

#include <cstdint>

namespace mcfast::recall {

// A view of a set: `n_words` words of 64 rows, the lowest bit first. Rows behind the last word are not in it. Without
// words it stands for no set at all.
struct Bits {
    const uint64_t* words = nullptr;
    int64_t n_words = 0;

    explicit operator bool() const { return words; }
    bool operator[](int64_t row) const { return row < 64 * n_words && words[row / 64] >> (row % 64) & 1; }

    // Whether there are at most so many rows in it; looks no further than it must.
    bool at_most(int64_t n) const {
        for (int64_t i = 0; i < n_words && n >= 0; ++i) n -= __builtin_popcountll(words[i]);
        return n >= 0;
    }

    // Calls fn(row) for each row in it, ascending.
    template <class Fn>
    void each(const Fn& fn) const {
        for (int64_t i = 0; i < n_words; ++i)
            for (uint64_t left = words[i]; left; left &= left - 1) fn(64 * i + __builtin_ctzll(left));
    }
};

}  // namespace mcfast::recall
