#include "recall/exact.h"

#include <atomic>
#include <cmath>
#include <cstring>

#include "parallel.h"
#include "recall/scanner.h"

namespace mcfast::recall {
namespace {

constexpr int64_t chunk_rows = 1024;    // 64 KiB of codes at 64 factors
constexpr int64_t batch_queries = 120;  // queries that share one pass over the items; a multiple of most tile sizes

// Rows in about descending order of their norms: in the order of the leading bits of norms, which are coarse enough to
// be counted; rows of equal bits stay in order.
std::vector<int32_t> by_norm(const Items& items, int threads) {
    constexpr int64_t grain = 4096;
    constexpr uint32_t bits = 16;
    std::vector<uint16_t> key(static_cast<size_t>(items.n));
    parallel::chunks(threads, items.n, grain, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const auto norm = static_cast<float>(std::sqrt(Items::dot(items.row(i), items.row(i), items.width)));
            uint32_t pattern;
            std::memcpy(&pattern, &norm, sizeof pattern);
            key[static_cast<size_t>(i)] = static_cast<uint16_t>(~(pattern >> (31 - bits)));
        }
    });
    std::vector<int32_t> place((size_t{1} << bits) + 1, 0);
    for (const uint16_t k : key) ++place[size_t{k} + 1];
    for (size_t k = 0; k < place.size() - 1; ++k) place[k + 1] += place[k];
    std::vector<int32_t> order(key.size());
    for (size_t i = 0; i < key.size(); ++i) order[static_cast<size_t>(place[key[i]]++)] = static_cast<int32_t>(i);
    return order;
}

std::vector<int64_t> equal_ends(int64_t n) {
    std::vector<int64_t> ends;
    for (int64_t end = chunk_rows; end < n + chunk_rows; end += chunk_rows) ends.push_back(std::min(n, end));
    return ends;
}

}  // namespace

Exact::Exact(const float* rows, int64_t n, int64_t width, const float* offsets, int threads, Metric metric)
    : items_{rows, n, width, offsets, metric},
      codes_(items_, by_norm(items_, threads).data(), equal_ends(n), threads) {}

void Exact::search(const float* queries, int64_t n_queries, int64_t k, const Filter& filter, int threads, int64_t* rows,
                   float* scores, int64_t* counts) const {
    const Answers answers{k, rows, scores, counts};
    const int64_t most = std::min(k, items_.n);
    if (most == 0) return answers.write_none(n_queries);
    const int64_t batch = std::clamp<int64_t>((n_queries + threads - 1) / threads, 1, batch_queries);
    const int64_t batches = (n_queries + batch - 1) / batch;
    const FewLeft few(filter, items_.n);
    std::atomic<int64_t> next{0};
    parallel::run(static_cast<int>(std::min<int64_t>(threads, batches)), [&](int) {
        Scanner scanner(items_, codes_, queries, filter, most);
        std::vector<int32_t> left, scanned, reached;
        for (int64_t b; (b = next.fetch_add(1)) < batches;) {
            const int64_t first = b * batch, count = std::min(batch, n_queries - first);
            scanner.start(first, count);
            scanned.clear();
            for (int64_t q = 0; q < count; ++q) {
                if (few.rows(first + q, left))
                    answers.write(first + q, scanner.scored(q, left));
                else
                    scanned.push_back(static_cast<int32_t>(q));
            }
            for (const Chunk& chunk : codes_.chunks()) {
                reached.clear();
                for (const int32_t q : scanned)
                    if (scanner.reaches(q, chunk)) reached.push_back(q);
                if (!reached.empty()) scanner.scan(chunk, reached);
            }
            for (const int32_t q : scanned) answers.write(first + q, scanner.finish(q));
        }
    });
}

}  // namespace mcfast::recall
