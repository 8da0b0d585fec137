#include "data/encode.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "parallel.h"

namespace mcfast::data {
namespace {

constexpr int64_t max_table_bytes = int64_t{64} << 20;  // of a direct table
constexpr int64_t renumbered = 1 << 16;                 // rows at a time

struct Range {
    int64_t low = std::numeric_limits<int64_t>::max(), high = std::numeric_limits<int64_t>::min();
};

// Numbers by first appearance over a dense range: one table look-up an id.
class Table {
public:
    explicit Table(Range range) : low_(range.low), rows_(static_cast<size_t>(range.high - range.low) + 1, -1) {}
    int32_t& find(int64_t id) { return rows_[static_cast<size_t>(id - low_)]; }

private:
    int64_t low_;
    std::vector<int32_t> rows_;
};

// The same for any ids: open addressing with linear probing, at most half full.
class Hash {
public:
    explicit Hash(Range) { resize(1 << 12); }
    int32_t& find(int64_t id) {
        if (2 * used_ >= slots_.size()) resize(2 * slots_.size());
        Slot& slot = probe(id);
        if (slot.row < 0) {  // the caller fills it in
            slot.id = id;
            ++used_;
        }
        return slot.row;
    }

private:
    struct Slot {
        int64_t id;
        int32_t row;
    };
    Slot& probe(int64_t id) {
        size_t at = (static_cast<uint64_t>(id) * 0x9E3779B97F4A7C15u) >> shift_;
        while (slots_[at].row >= 0 && slots_[at].id != id) at = (at + 1) & (slots_.size() - 1);
        return slots_[at];
    }
    void resize(size_t size) {
        std::vector<Slot> old(size, Slot{0, -1});
        old.swap(slots_);
        shift_ = 64 - __builtin_ctzll(size);
        for (const Slot& slot : old)
            if (slot.row >= 0) probe(slot.id) = slot;
    }
    std::vector<Slot> slots_;
    size_t used_ = 0;
    int shift_ = 0;
};

template <class Map>
int32_t row_of(Map& map, int64_t id, std::vector<int64_t>& ids) {
    int32_t& row = map.find(id);
    if (row < 0) {
        if (ids.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max()))
            throw std::length_error("more than 2147483647 distinct ids");
        row = static_cast<int32_t>(ids.size());
        ids.push_back(id);
    }
    return row;
}

// Runs of about equal length, one a thread, each a list of spans.
template <class T>
struct Part {
    std::vector<Span<T>> spans;
    int64_t first = 0, size = 0;  // place of its first value, and how many it has
};

template <class T>
std::vector<Part<T>> split(const std::vector<Span<T>>& chunks, int64_t total, int64_t parts) {
    std::vector<Part<T>> out(1);
    const int64_t size = std::max<int64_t>(1, (total + parts - 1) / parts);
    int64_t place = 0;
    for (Span<T> chunk : chunks)
        while (chunk.size > 0) {
            if (place == static_cast<int64_t>(out.size()) * size) {
                out.emplace_back();
                out.back().first = place;
            }
            const int64_t take = std::min(chunk.size, static_cast<int64_t>(out.size()) * size - place);
            out.back().spans.push_back({chunk.values, take});
            out.back().size += take;
            chunk.values += take;
            chunk.size -= take;
            place += take;
        }
    return out;
}

// Each part numbers its own ids; the parts' ids, merged in order, give the final numbers.
template <class Map, class T>
std::vector<int64_t> encode_with(const std::vector<Part<T>>& parts, Range range, int32_t* rows, int threads) {
    std::vector<std::vector<int64_t>> local(parts.size());
    parallel::chunks(threads, static_cast<int64_t>(parts.size()), 1, [&](int64_t p, int64_t, int64_t) {
        const Part<T>& part = parts[static_cast<size_t>(p)];
        Map map(range);
        std::vector<int64_t> ids;
        int32_t* to = rows + part.first;
        for (const Span<T>& span : part.spans)
            for (int64_t i = 0; i < span.size; ++i) *to++ = row_of(map, span.values[i], ids);
        local[static_cast<size_t>(p)] = std::move(ids);
    });
    // Those of the first part have theirs.
    std::vector<int64_t> ids = local[0];
    if (parts.size() == 1) return ids;
    Map map(range);
    for (size_t r = 0; r < ids.size(); ++r) map.find(ids[r]) = static_cast<int32_t>(r);
    for (size_t p = 1; p < parts.size(); ++p) {
        std::vector<int32_t> renumber;
        for (const int64_t id : local[p]) renumber.push_back(row_of(map, id, ids));
        int32_t* const to = rows + parts[p].first;
        parallel::chunks(threads, parts[p].size, renumbered, [&](int64_t, int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) to[i] = renumber[static_cast<size_t>(to[i])];
        });
    }
    return ids;
}

}  // namespace

template <class T>
std::vector<int64_t> encode(const std::vector<Span<T>>& chunks, int32_t* rows, int threads) {
    int64_t total = 0;
    for (const Span<T>& chunk : chunks) total += chunk.size;
    if (total == 0) return {};
    const std::vector<Part<T>> parts = split(chunks, total, threads);
    std::vector<Range> ranges(parts.size());
    parallel::chunks(threads, static_cast<int64_t>(parts.size()), 1, [&](int64_t p, int64_t, int64_t) {
        T low = std::numeric_limits<T>::max(), high = std::numeric_limits<T>::min();
        for (const Span<T>& span : parts[static_cast<size_t>(p)].spans)
            for (int64_t i = 0; i < span.size; ++i) {
                low = std::min(low, span.values[i]);
                high = std::max(high, span.values[i]);
            }
        ranges[static_cast<size_t>(p)] = {low, high};
    });
    Range range;
    for (const Range& part : ranges) {
        range.low = std::min(range.low, part.low);
        range.high = std::max(range.high, part.high);
    }
    // Unsigned, since the difference of two int64 can exceed one.
    const uint64_t width = static_cast<uint64_t>(range.high) - static_cast<uint64_t>(range.low);
    const auto limit = static_cast<uint64_t>(std::min<int64_t>(max_table_bytes / 4, 4 * total + 1024));
    if (width >= limit) return encode_with<Hash>(parts, range, rows, threads);
    // Fewer parts where the tables would hold more numbers than the rows do.
    const int64_t most = std::max<int64_t>(1, total / static_cast<int64_t>(width + 1));
    return encode_with<Table>(most < threads ? split(chunks, total, most) : parts, range, rows, threads);
}

template std::vector<int64_t> encode(const std::vector<Span<int32_t>>&, int32_t*, int);
template std::vector<int64_t> encode(const std::vector<Span<int64_t>>&, int32_t*, int);

}  // namespace mcfast::data
