#include "data/pairs.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "memory.h"
#include "parallel.h"

namespace mcfast::data {
namespace {

constexpr int64_t grain = 1024;  // users

// What belongs to each user, in the order of the triples: values[indptr[u] .. indptr[u + 1]].
template <class T>
struct ByUser {
    std::vector<int64_t> indptr;
    Buffer<T> values;

    template <class Value>  // of a triple's index
    ByUser(const int32_t* users, int64_t n, int32_t n_users, const Value& value)
        : indptr(static_cast<size_t>(n_users) + 1, 0), values(n) {
        for (int64_t i = 0; i < n; ++i) ++indptr[static_cast<size_t>(users[i]) + 1];
        for (size_t u = 0; u < static_cast<size_t>(n_users); ++u) indptr[u + 1] += indptr[u];
        std::vector<int64_t> at(indptr.begin(), indptr.end() - 1);
        for (int64_t i = 0; i < n; ++i) values[at[static_cast<size_t>(users[i])]++] = static_cast<T>(value(i));
    }
};

// Calls visit(user, seen) for every user, where `seen` holds one number an item, -1 at first, and is handed from user
// to user of a thread.
template <class Seen, class Visit>
void for_users(int threads, int32_t n_users, int32_t n_items, const Visit& visit) {
    std::atomic<int64_t> next{0};
    parallel::run(threads, [&](int) {
        std::vector<Seen> seen(static_cast<size_t>(n_items), -1);
        for (int64_t begin; (begin = next.fetch_add(grain)) < n_users;)
            for (int64_t u = begin; u < std::min<int64_t>(n_users, begin + grain); ++u)
                visit(static_cast<int32_t>(u), seen);
    });
}

int64_t count_repeated(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int32_t n_items,
                       int threads) {
    const ByUser<int32_t> by_user(users, n, n_users, [items](int64_t i) { return items[i]; });
    std::atomic<int64_t> repeated{0};
    for_users<int32_t>(threads, n_users, n_items, [&](int32_t user, std::vector<int32_t>& last_user) {
        int64_t found = 0;
        const auto u = static_cast<size_t>(user);
        for (int64_t x = by_user.indptr[u]; x < by_user.indptr[u + 1]; ++x) {
            int32_t& last = last_user[static_cast<size_t>(by_user.values[x])];
            found += last == user;
            last = user;
        }
        if (found) repeated.fetch_add(found, std::memory_order_relaxed);
    });
    return repeated;
}

template <class Index>
void find_first(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int32_t n_items,
                std::vector<int64_t>& first, int threads) {
    const ByUser<Index> by_user(users, n, n_users, [](int64_t i) { return i; });
    first.resize(static_cast<size_t>(n));
    for_users<int64_t>(threads, n_users, n_items, [&](int32_t user, std::vector<int64_t>& seen) {
        // Where an item was first seen: a place in `values`. A thread's users rise, so those of earlier ones lie
        // before.
        const int64_t begin = by_user.indptr[static_cast<size_t>(user)];
        for (int64_t x = begin; x < by_user.indptr[static_cast<size_t>(user) + 1]; ++x) {
            const auto triple = static_cast<size_t>(by_user.values[x]);
            int64_t& place = seen[static_cast<size_t>(items[triple])];
            if (place < begin) place = x;
            first[triple] = static_cast<int64_t>(by_user.values[place]);
        }
    });
}

}  // namespace

int64_t first_of_pair(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int32_t n_items,
                      std::vector<int64_t>& first, int threads) {
    first.clear();
    const int64_t repeated = count_repeated(users, items, n, n_users, n_items, threads);
    if (repeated == 0) return 0;
    if (n <= int64_t{UINT32_MAX})  // half the memory
        find_first<uint32_t>(users, items, n, n_users, n_items, first, threads);
    else
        find_first<int64_t>(users, items, n, n_users, n_items, first, threads);
    return repeated;
}

Csr items_of_users(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int threads) {
    Csr csr;
    {
        ByUser<int32_t> by_user(users, n, n_users, [items](int64_t i) { return items[i]; });
        csr.indptr = std::move(by_user.indptr);
        csr.rows.assign(by_user.values.begin(), by_user.values.end());
    }

    std::vector<int64_t> kept(static_cast<size_t>(n_users));
    parallel::chunks(threads, n_users, grain, [&](int64_t, int64_t begin, int64_t end) {
        for (auto u = static_cast<size_t>(begin); u < static_cast<size_t>(end); ++u) {
            const auto first = csr.rows.begin() + csr.indptr[u], last = csr.rows.begin() + csr.indptr[u + 1];
            std::sort(first, last);
            kept[u] = std::unique(first, last) - first;
        }
    });
    // Close the gaps that repeated items left.
    int64_t to = 0;
    for (size_t u = 0; u < static_cast<size_t>(n_users); ++u) {
        const int64_t from = csr.indptr[u];
        if (from != to) std::copy_n(csr.rows.begin() + from, kept[u], csr.rows.begin() + to);
        csr.indptr[u] = to;
        to += kept[u];
    }
    csr.indptr.back() = to;
    csr.rows.resize(static_cast<size_t>(to));
    return csr;
}

}  // namespace mcfast::data
