// Inner products of 8-bit codes of items with those of a batch of queries; what is not below a query's threshold is
// written out. A tile of queries meets one panel of 16 items at a time, the sums stay in registers: no horizontal sums,
// no stores.
#include "simd.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

constexpr int V = panel_rows / W;                        // vectors in a row of a panel
constexpr int max_tile = W == 16 ? 14 : W == 8 ? 6 : 2;  // queries a tile: as many sums as there are registers
constexpr int quad = 4;                                  // factors in a lane
constexpr int64_t ahead = 4096;  // bytes fetched ahead for a query alone, which waits for memory

inline vi four(const int8_t* codes) {
    int32_t x;
    __builtin_memcpy(&x, codes, sizeof x);
    return x - vi{};
}

template <int Q>
void sums(const Scan& s, const ScanQuery* queries, const uint8_t* items, vi (&total)[Q][V]) {
    int64_t k = 0;
    for (int64_t block = 0; k < s.width; ++block) {
        vsum sum[Q][V];
        for (int q = 0; q < Q; ++q)
            for (int v = 0; v < V; ++v) sum[q][v] = start_sums(queries[q].biases[block]);
        const int64_t end = k + block_width < s.width ? k + block_width : s.width;
        do {
            if (Q == 1) __builtin_prefetch(items + k * panel_rows + ahead);
            vi item[V];
            for (int v = 0; v < V; ++v) item[v] = load_codes(items + k * panel_rows + v * W * quad);
            for (int q = 0; q < Q; ++q) {
                const vi x = four(queries[q].codes + k);
                for (int v = 0; v < V; ++v) sum[q][v] = add_products(sum[q][v], item[v], x);
            }
            k += quad;
        } while (k < end);
        for (int q = 0; q < Q; ++q)
            for (int v = 0; v < V; ++v) total[q][v] += lane_sums(sum[q][v]);
    }
}

// Q queries, the first of which is number `query`, against all panels.
template <int Q>
Hit* tile(const Scan& s, int64_t query, Hit* out) {
    const ScanQuery* const queries = s.queries + query;
    for (int64_t panel = 0; panel < s.n_panels; ++panel) {
        vi total[Q][V] = {};
        sums<Q>(s, queries, s.panels + panel * panel_rows * s.width, total);
        vf score[Q][V];
        uint64_t found[(Q + 3) / 4] = {}, any = 0;  // a bit a query and row
        for (int q = 0; q < Q; ++q)
            for (int v = 0; v < V; ++v) {
                score[q][v] = __builtin_convertvector(total[q][v], vf);
                if (s.offsets) score[q][v] += queries[q].scale * load_unaligned(s.offsets + panel * panel_rows + v * W);
                const uint64_t mask = not_less(score[q][v], broadcast(queries[q].threshold));
                found[q / 4] |= mask << (q % 4 * panel_rows + v * W);
            }
        for (const uint64_t f : found) any |= f;
        if (__builtin_expect(any == 0, 1)) continue;
        alignas(64) float scores[Q][panel_rows];
        for (int q = 0; q < Q; ++q)
            for (int v = 0; v < V; ++v) store(&scores[q][v * W], score[q][v]);
        for (int part = 0; part < (Q + 3) / 4; ++part)
            for (uint64_t left = found[part]; left; left &= left - 1) {
                const int bit = __builtin_ctzll(left), q = part * 4 + bit / panel_rows, row = bit % panel_rows;
                *out++ = {static_cast<int32_t>(query) + q, s.first_row + static_cast<int32_t>(panel * panel_rows) + row,
                          scores[q][row]};
            }
    }
    return out;
}

template <int Q>
Hit* remainder(const Scan& s, int64_t query, int64_t count, Hit* out) {
    if (count == Q) return tile<Q>(s, query, out);
    if constexpr (Q > 1) return remainder<Q - 1>(s, query, count, out);
    return out;
}

int64_t scan(const Scan& s) {
    Hit* out = s.hits;
    int64_t query = 0;
    for (; query + max_tile <= s.n_queries; query += max_tile) out = tile<max_tile>(s, query, out);
    return remainder<max_tile>(s, query, s.n_queries - query, out) - s.hits;
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE

namespace mcfast::kernels {
extern const ScanTable MCFAST_TABLE(scan);
const ScanTable MCFAST_TABLE(scan) = {MCFAST_SET_NAMESPACE::scan};
}  // namespace mcfast::kernels
