#include "recall/exact.h"

#include <atomic>
#include <cmath>
#include <cstring>

#include "parallel.h"

namespace mcfast::recall {
namespace {

constexpr int64_t chunk_rows = 1024;    // 64 KiB of codes at 64 factors
constexpr int64_t batch_queries = 120;  // queries that share one pass over the items; a multiple of most tile sizes

constexpr int64_t shared_bytes = int64_t{4} << 20;  // codes that are worth more than one thread to a query

// Rows in about descending order of what they may score: of their norms, or, with offsets, of offset + norm times that
// of a query, which is taken to be as long as items are: so training leaves them. In the order of leading bits, which
// are coarse enough to be counted; rows of equal bits stay in order.
std::vector<int32_t> by_reach(const Items& items, int threads) {
    constexpr int64_t grain = 4096;
    constexpr uint32_t bits = 17;
    std::vector<float> norm(static_cast<size_t>(items.n));
    parallel::chunks(threads, items.n, grain, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
            norm[static_cast<size_t>(i)] = static_cast<float>(std::sqrt(items.square(i)));
    });
    double squares = 0;
    for (const float x : norm) squares += static_cast<double>(x) * x;
    const double length = items.offsets ? std::sqrt(squares / static_cast<double>(items.n)) : 1;
    std::vector<uint32_t> key(norm.size());
    parallel::chunks(threads, items.n, grain, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const auto reach = static_cast<float>(length * norm[static_cast<size_t>(i)] + items.offset(i));
            uint32_t pattern;
            std::memcpy(&pattern, &reach, sizeof pattern);
            // Patterns of negative numbers ascend as the numbers descend.
            key[static_cast<size_t>(i)] = (pattern >> 31 ? pattern : pattern ^ 0x7fffffff) >> (32 - bits);
        }
    });
    std::vector<int32_t> place((size_t{1} << bits) + 1, 0);
    for (const uint32_t k : key) ++place[size_t{k} + 1];
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

Exact::Exact(const Items& items, int threads)
    : items_(items), codes_(items_, by_reach(items_, threads).data(), equal_ends(items.n), threads) {}

void Exact::search(const float* queries, int64_t n_queries, int64_t k, const Filter& filter, int threads, int64_t* rows,
                   float* scores, int64_t* counts) const {
    const Answers answers{k, rows, scores, counts};
    const int64_t most = std::min(k, items_.n);
    if (most == 0) return answers.write_none(n_queries);
    const FewLeft few(filter, items_);
    // Few queries share out the items, many the queries.
    const int parts = 0 < n_queries && n_queries < threads && codes_.bytes() >= shared_bytes ? threads : 1;
    const int64_t batch =
        parts > 1 ? n_queries : std::clamp((n_queries + threads - 1) / threads, int64_t{1}, batch_queries);
    const int64_t batches = (n_queries + batch - 1) / batch;
    std::vector<std::vector<std::vector<Scored>>> found(parts > 1 ? static_cast<size_t>(parts) : 0);
    std::atomic<int64_t> next{0};
    parallel::run(static_cast<int>(std::min<int64_t>(threads, batches * parts)), [&](int) {
        Scanner scanner(items_, codes_, queries, filter, most);
        for (int64_t job; (job = next.fetch_add(1)) < batches * parts;) {
            const int64_t first = job / parts * batch, count = std::min(batch, n_queries - first);
            scanner.start(first, count);
            scan(scanner, first, count, few, job % parts, parts);
            for (int64_t q = 0; q < count; ++q) {
                if (parts > 1)
                    found[static_cast<size_t>(job)].push_back(std::move(scanner.finish(q)));
                else
                    answers.write(first + q, scanner.finish(q));
            }
        }
    });
    for (int64_t q = 0; q < n_queries && parts > 1; ++q) {
        std::vector<Scored> all;
        for (const auto& part : found) {
            const std::vector<Scored>& best = part[static_cast<size_t>(q)];
            all.insert(all.end(), best.begin(), best.end());
        }
        answers.write(q, all);
    }
}

// Searches one part of the items for a batch.
void Exact::scan(Scanner& scanner, int64_t first, int64_t count, const FewLeft& few, int64_t part,
                 int64_t parts) const {
    std::vector<int32_t> left, scanned, reached;
    for (int64_t q = 0; q < count; ++q) {
        if (!few.rows(first + q, left))
            scanned.push_back(static_cast<int32_t>(q));
        else if (part == 0)
            scanner.score(q, left);
    }
    const auto n_chunks = static_cast<int64_t>(codes_.chunks().size());
    for (int64_t i = part; i < n_chunks; i += parts) {
        const Chunk& chunk = codes_.chunks()[static_cast<size_t>(i)];
        reached.clear();
        for (const int32_t q : scanned)
            if (scanner.reaches(q, chunk)) reached.push_back(q);
        if (!reached.empty()) scanner.scan(chunk, reached);
    }
}

}  // namespace mcfast::recall
