// Approximate scores (fp32) of a slice of items for a batch of queries; what is not below a query's threshold is
// written out. A tile of queries meets one panel of 16 items at a time, the sums stay in registers: no horizontal sums,
// no stores.
#include "simd.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

constexpr int V = panel_rows / W;                        // vectors in a row of a panel
constexpr int max_tile = W == 16 ? 14 : W == 8 ? 6 : 3;  // queries a tile: as many sums as there are registers

// Q queries against P panels that follow each other.
template <int Q, int P>
void tile(const Scan& s, int64_t query, int64_t panel) {
    vf sum[Q][P][V] = {};
    const float* items = s.panels + panel * panel_rows * s.width;
    const float* queries = s.queries + query * s.width;
    const int64_t panel_size = panel_rows * s.width;
    for (int64_t k = 0; k < s.width; ++k) {
        vf item[P][V];
        for (int p = 0; p < P; ++p)
            for (int v = 0; v < V; ++v) item[p][v] = load(items + p * panel_size + k * panel_rows + v * W);
        for (int q = 0; q < Q; ++q) {
            const vf x = broadcast(queries[q * s.width + k]);
            for (int p = 0; p < P; ++p)
                for (int v = 0; v < V; ++v) sum[q][p][v] += x * item[p][v];
        }
    }
    for (int q = 0; q < Q; ++q) {
        const vf threshold = broadcast(s.thresholds[query + q]);
        Hit* hits = s.hits + (query + q) * s.n_panels * panel_rows;
        int32_t count = s.counts[query + q];
        for (int p = 0; p < P; ++p)
            for (int v = 0; v < V; ++v) {
                const int64_t at = (panel + p) * panel_rows + v * W;
                const vf score = sum[q][p][v] + load_unaligned(s.offsets + at);
                for (uint32_t mask = not_less(score, threshold); mask; mask &= mask - 1) {
                    const int i = __builtin_ctz(mask);
                    hits[count++] = {s.first_row + static_cast<int32_t>(at) + i, score[i]};
                }
            }
        s.counts[query + q] = count;
    }
}

// A query alone takes several panels at once, so that enough sums are under way to hide the latency of one.
template <int Q>
void queries_against_all(const Scan& s, int64_t query) {
    constexpr int P = Q * V >= 8 ? 1 : Q * V >= 4 ? 2 : 4;
    int64_t panel = 0;
    for (; panel + P <= s.n_panels; panel += P) tile<Q, P>(s, query, panel);
    for (; panel < s.n_panels; ++panel) tile<Q, 1>(s, query, panel);
}

template <int Q>
void remainder(const Scan& s, int64_t query, int64_t count) {
    if (count == Q) return queries_against_all<Q>(s, query);
    if constexpr (Q > 1) remainder<Q - 1>(s, query, count);
}

void scan(const Scan& s) {
    for (int64_t q = 0; q < s.n_queries; ++q) s.counts[q] = 0;
    int64_t query = 0;
    for (; query + max_tile <= s.n_queries; query += max_tile) queries_against_all<max_tile>(s, query);
    if (query < s.n_queries) remainder<max_tile>(s, query, s.n_queries - query);
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE

namespace mcfast::kernels {
extern const ScanTable MCFAST_TABLE(scan);
const ScanTable MCFAST_TABLE(scan) = {MCFAST_SET_NAMESPACE::scan};
}  // namespace mcfast::kernels
