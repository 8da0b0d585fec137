// An index, and what changed since it was built.
#pragma once

#include <utility>

#include "recall/changes.h"

namespace mcfast::recall {

// An index of items that are added, replaced and removed while it is searched. Whoever owns it builds anew once much
// has changed: what was added is searched in full.
template <class Index>
struct Changing {
    template <class... Arguments>
    explicit Changing(const Items& items, Arguments&&... arguments)
        : built(items, std::forward<Arguments>(arguments)...), changes(items) {}

    int64_t bytes() const { return built.bytes() + changes.bytes(); }

    // Calls built_search(filter) for what was built, then takes in what was added.
    template <class Search>
    void search(const float* queries, int64_t n, const Filter& filter, int threads, const Answers& to,
                const Search& built_search) const {
        const auto state = changes.now();
        Filter own = filter;
        own.alive = state->alive();
        built_search(own);
        changes.search(*state, queries, n, filter, threads, to);
    }

    Index built;
    Changes changes;
};

}  // namespace mcfast::recall
