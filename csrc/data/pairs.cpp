#include "data/pairs.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "memory.h"
#include "parallel.h"

namespace mcfast::data {
namespace {

constexpr int64_t bucket_triples = 1 << 15;  // on average: what is done with a bucket stays in the cache
constexpr int64_t max_buckets = 1 << 10;     // places written to in turn
constexpr int digit_bits = 11;               // of a radix sort

template <class T>
struct Entry {
    int32_t user;
    T value;
};

// Places for a stable sort by key(i) < n_keys of begin .. end: where the next one of each key goes, from `first` on.
template <class Key>
std::vector<int64_t> places(int64_t begin, int64_t end, int64_t n_keys, int64_t first, const Key& key) {
    std::vector<int64_t> at(static_cast<size_t>(n_keys) + 1, 0);
    at[0] = first;
    for (int64_t i = begin; i < end; ++i) ++at[static_cast<size_t>(key(i)) + 1];
    for (size_t k = 0; k < static_cast<size_t>(n_keys); ++k) at[k + 1] += at[k];
    return at;
}

// A value of each triple, in buckets of neighbouring users, inside one in the order of the triples.
template <class T>
struct Buckets {
    int shift = 0;  // user >> shift is its bucket
    std::vector<int64_t> begins;
    Buffer<Entry<T>> entries;

    template <class Value>  // of a triple's index
    Buckets(const int32_t* users, int64_t n, int32_t n_users, int threads, const Value& value) : entries(n) {
        const int64_t wanted = std::clamp<int64_t>(n / bucket_triples, 1, max_buckets);
        while ((n_users - 1) >> shift >= wanted) ++shift;
        const int64_t n_buckets = n_users > 0 ? ((n_users - 1) >> shift) + 1 : 0;
        const int64_t parts = std::clamp<int64_t>(n / bucket_triples, 1, threads), size = (n + parts - 1) / parts;
        // Each part of the triples counts, then writes behind the parts before it.
        std::vector<std::vector<int64_t>> at(static_cast<size_t>(parts),
                                             std::vector<int64_t>(static_cast<size_t>(n_buckets)));
        const auto each = [&](const auto& visit) {
            parallel::chunks(threads, n, std::max<int64_t>(size, 1), [&](int64_t part, int64_t begin, int64_t end) {
                int64_t* const of_part = at[static_cast<size_t>(part)].data();
                for (int64_t i = begin; i < end; ++i) visit(i, of_part[users[i] >> shift]);
            });
        };
        each([](int64_t, int64_t& count) { ++count; });
        int64_t total = 0;
        for (size_t b = 0; b < static_cast<size_t>(n_buckets); ++b) {
            begins.push_back(total);
            for (std::vector<int64_t>& part : at) total += std::exchange(part[b], total);
        }
        begins.push_back(total);
        each([&](int64_t i, int64_t& place) { entries[place++] = {users[i], static_cast<T>(value(i))}; });
    }

    // Calls visitor(first user, number of users, begin, end) for every bucket, with a visitor a thread, as
    // make_visitor() returns it. The buckets of a thread rise.
    template <class MakeVisitor>
    void for_each(int threads, int32_t n_users, const MakeVisitor& make_visitor) const {
        const auto n = static_cast<int64_t>(begins.size()) - 1;
        std::atomic<int64_t> next{0};
        parallel::run(static_cast<int>(std::clamp<int64_t>(n, 1, threads)), [&](int) {
            auto visitor = make_visitor();
            for (int64_t b; (b = next.fetch_add(1)) < n;) {
                const int64_t first = b << shift;
                visitor(static_cast<int32_t>(first), std::min<int64_t>(n_users - first, int64_t{1} << shift),
                        begins[static_cast<size_t>(b)], begins[static_cast<size_t>(b) + 1]);
            }
        });
    }

    // Calls visit(user, begin, values, n) for every user: the n values of its triples in their order, `begin` being the
    // place of the first one among all. `make_scratch` makes what is handed from user to user of a thread.
    template <class MakeScratch, class Visit>
    void for_users(int threads, int32_t n_users, const MakeScratch& make_scratch, const Visit& visit) const {
        for_each(threads, n_users, [&] {
            return [&, scratch = make_scratch(), values = std::vector<T>()](int32_t first, int64_t n_here,
                                                                            int64_t begin, int64_t end) mutable {
                values.resize(static_cast<size_t>(end - begin));
                const auto key = [&](int64_t i) { return entries[i].user - first; };
                std::vector<int64_t> at = places(begin, end, n_here, 0, key);
                for (int64_t i = begin; i < end; ++i)
                    values[static_cast<size_t>(at[static_cast<size_t>(key(i))]++)] = entries[i].value;
                int64_t from = 0;
                for (int64_t u = 0; u < n_here; ++u) {
                    const int64_t to = at[static_cast<size_t>(u)];
                    visit(first + static_cast<int32_t>(u), begin + from, values.data() + from, to - from, scratch);
                    from = to;
                }
            };
        });
    }
};

// One number an item, -1 at first.
template <class T>
auto one_an_item(int32_t n_items) {
    return [n_items] { return std::vector<T>(static_cast<size_t>(n_items), -1); };
}

// Sorts entries by values up to `last`, digit by digit, those of equal value in the order in which they come; `other`
// is room for them.
void sort_by_value(std::vector<Entry<int32_t>>& entries, std::vector<Entry<int32_t>>& other, int32_t last) {
    const auto n = static_cast<int64_t>(entries.size());
    other.resize(entries.size());
    for (int shift = 0; shift < 32 && last >> shift > 0; shift += digit_bits) {
        const auto digit = [&](int64_t i) {
            return entries[static_cast<size_t>(i)].value >> shift & ((1 << digit_bits) - 1);
        };
        std::vector<int64_t> at = places(0, n, 1 << digit_bits, 0, digit);
        for (int64_t i = 0; i < n; ++i)
            other[static_cast<size_t>(at[static_cast<size_t>(digit(i))]++)] = entries[static_cast<size_t>(i)];
        entries.swap(other);
    }
}

int64_t count_repeated(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int32_t n_items,
                       int threads) {
    const Buckets<int32_t> buckets(users, n, n_users, threads, [items](int64_t i) { return items[i]; });
    std::atomic<int64_t> repeated{0};
    buckets.for_users(threads, n_users, one_an_item<int32_t>(n_items),
                      [&](int32_t user, int64_t, const int32_t* of_user, int64_t count, std::vector<int32_t>& last) {
                          int64_t found = 0;
                          for (int64_t x = 0; x < count; ++x)
                              found += std::exchange(last[static_cast<size_t>(of_user[x])], user) == user;
                          if (found) repeated.fetch_add(found, std::memory_order_relaxed);
                      });
    return repeated;
}

template <class Index>
void find_first(const int32_t* users, const int32_t* items, int64_t n, int32_t n_users, int32_t n_items,
                std::vector<int64_t>& first, int threads) {
    const Buckets<Index> buckets(users, n, n_users, threads, [](int64_t i) { return i; });
    first.resize(static_cast<size_t>(n));
    buckets.for_users(threads, n_users, one_an_item<int64_t>(n_items),
                      [&](int32_t, int64_t begin, const Index* triples, int64_t count, std::vector<int64_t>& seen) {
                          // Where an item was first seen: a place among all. A thread's users rise, so those of earlier
                          // ones lie before.
                          for (int64_t x = 0; x < count; ++x) {
                              const auto triple = static_cast<size_t>(triples[x]);
                              int64_t& place = seen[static_cast<size_t>(items[triple])];
                              if (place < begin) place = begin + x;
                              first[triple] = static_cast<int64_t>(triples[place - begin]);
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
    csr.indptr.assign(static_cast<size_t>(n_users) + 1, 0);
    csr.rows.resize(static_cast<size_t>(n));
    const Buckets<int32_t> buckets(users, n, n_users, threads, [items](int64_t i) { return items[i]; });
    int32_t last_item = 0;
    for (int64_t i = 0; i < n; ++i) last_item = std::max(last_item, items[i]);

    // Sorts a bucket by item, then by user. What is kept of a user is written where its triples begin.
    std::vector<int64_t> from(static_cast<size_t>(n_users));
    buckets.for_each(threads, n_users, [&] {
        return [&, sorted = std::vector<Entry<int32_t>>(), other = std::vector<Entry<int32_t>>()](
                   int32_t first, int64_t n_here, int64_t begin, int64_t end) mutable {
            const int64_t count = end - begin;
            sorted.assign(buckets.entries.begin() + begin, buckets.entries.begin() + end);
            sort_by_value(sorted, other, last_item);
            std::vector<int64_t> at =
                places(0, count, n_here, begin, [&](int64_t i) { return sorted[static_cast<size_t>(i)].user - first; });
            std::copy(at.begin(), at.end() - 1, from.begin() + first);
            for (const Entry<int32_t>& entry : sorted) {
                int64_t& to = at[static_cast<size_t>(entry.user - first)];
                if (to == from[static_cast<size_t>(entry.user)] || csr.rows[static_cast<size_t>(to) - 1] != entry.value)
                    csr.rows[static_cast<size_t>(to++)] = entry.value;
            }
            for (int64_t u = 0; u < n_here; ++u)
                csr.indptr[static_cast<size_t>(first + u) + 1] =
                    at[static_cast<size_t>(u)] - from[static_cast<size_t>(first + u)];
        };
    });
    // Close the gaps that repeated items left.
    int64_t to = 0;
    for (size_t u = 0; u < static_cast<size_t>(n_users); ++u) {
        const int64_t kept = csr.indptr[u + 1];
        if (from[u] != to) std::copy_n(csr.rows.begin() + from[u], kept, csr.rows.begin() + to);
        csr.indptr[u + 1] = to += kept;
    }
    csr.rows.resize(static_cast<size_t>(to));
    return csr;
}

}  // namespace mcfast::data
