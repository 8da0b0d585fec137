#include "data/pairs.h"

#include <algorithm>
#include <atomic>

#include "memory.h"
#include "parallel.h"

namespace mcfast::data {
namespace {

constexpr int64_t grain = 1024;  // users

// The indices of the triples of each user, in order: order[indptr[u] .. indptr[u + 1]]. 32-bit where that is enough.
template <class Index>
struct ByUser {
    std::vector<int64_t> indptr;
    Buffer<Index> order;

    ByUser(const int32_t* users, int64_t n, int32_t n_users) : indptr(static_cast<size_t>(n_users) + 1, 0), order(n) {
        for (int64_t i = 0; i < n; ++i) ++indptr[static_cast<size_t>(users[i]) + 1];
        for (size_t u = 0; u < static_cast<size_t>(n_users); ++u) indptr[u + 1] += indptr[u];
        std::vector<int64_t> at(indptr.begin(), indptr.end() - 1);
        for (int64_t i = 0; i < n; ++i) order[at[static_cast<size_t>(users[i])]++] = static_cast<Index>(i);
    }
};

template <class Index>
int64_t find_first(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int32_t n_items,
                   std::vector<int64_t>& first, int threads) {
    const ByUser<Index> by_user(users, n, n_users);
    // Where an item was first seen for the user at hand: a place in `order`, valid if not before the user's own.
    const auto visit = [&](std::vector<int64_t>& seen, int64_t user, const auto& repeat) {
        const int64_t begin = by_user.indptr[static_cast<size_t>(user)];
        for (int64_t x = begin; x < by_user.indptr[static_cast<size_t>(user) + 1]; ++x) {
            int64_t& place = seen[static_cast<size_t>(items[by_user.order[x]])];
            if (place >= begin)
                repeat(static_cast<int64_t>(by_user.order[x]), static_cast<int64_t>(by_user.order[place]));
            else
                place = x;
        }
    };
    const auto for_all_users = [&](const auto& repeat) {
        std::atomic<int64_t> next{0};
        parallel::run(threads, [&](int) {
            std::vector<int64_t> seen(static_cast<size_t>(n_items), -1);
            for (int64_t begin; (begin = next.fetch_add(grain)) < n_users;)
                for (int64_t u = begin; u < std::min<int64_t>(n_users, begin + grain); ++u) visit(seen, u, repeat);
        });
    };
    // A worker's users come in rising order, so places of earlier users are below `begin`: `seen` needs no clearing.
    std::atomic<int64_t> repeated{0};
    for_all_users([&](int64_t, int64_t) { repeated.fetch_add(1, std::memory_order_relaxed); });
    if (repeated == 0) return 0;
    first.resize(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) first[static_cast<size_t>(i)] = i;
    for_all_users([&](int64_t triple, int64_t earlier) { first[static_cast<size_t>(triple)] = earlier; });
    return repeated;
}

}  // namespace

int64_t first_of_pair(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int32_t n_items,
                      std::vector<int64_t>& first, int threads) {
    first.clear();
    return n <= int64_t{UINT32_MAX} ? find_first<uint32_t>(users, items, n, n_users, n_items, first, threads)
                                    : find_first<int64_t>(users, items, n, n_users, n_items, first, threads);
}

Csr items_of_users(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int threads) {
    Csr csr;
    csr.indptr.assign(static_cast<size_t>(n_users) + 1, 0);
    for (int64_t i = 0; i < n; ++i) ++csr.indptr[static_cast<size_t>(users[i]) + 1];
    for (size_t u = 0; u < static_cast<size_t>(n_users); ++u) csr.indptr[u + 1] += csr.indptr[u];
    csr.rows.resize(static_cast<size_t>(n));
    std::vector<int64_t> at(csr.indptr.begin(), csr.indptr.end() - 1);
    for (int64_t i = 0; i < n; ++i) csr.rows[static_cast<size_t>(at[static_cast<size_t>(users[i])]++)] = items[i];

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
