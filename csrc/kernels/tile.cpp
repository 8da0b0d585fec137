// Some positive pairs against negatives that they share: S = A N^T, the loss of each row in place, which leaves G, then
// dA = G N and dN = G^T A. The three products are one micro-kernel with three strides.
#include "ranking/row.h"

#include "ranking/bpr.h"
#include "ranking/bsl.h"
#include "ranking/ccl.h"
#include "ranking/logistic.h"
#include "ranking/pairwise_hinge.h"
#include "ranking/softmax.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

constexpr int block_rows = W == 16 ? 8 : 6;  // of accumulators, two vectors wide: they fill the registers
constexpr int64_t depth = 256;               // terms of the sums taken at a time: a panel of b stays in the first cache

struct Matrix {
    const float* at;
    int64_t row, column;  // strides
};

// c[r][j] (+)= sum over k of a[r][k] b[k][j], for R rows and V vectors.
template <int R, int V>
inline void block(const Matrix& a, const float* b, int64_t b_stride, int64_t n, float* c, int64_t c_stride, bool add) {
    vf sum[R][V];
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) sum[r][v] = add ? load(c + r * c_stride + v * W) : vf{};
    for (int64_t k = 0; k < n; ++k) {
        vf x[V];
        for (int v = 0; v < V; ++v) x[v] = load(b + k * b_stride + v * W);
        for (int r = 0; r < R; ++r) {
            const vf y = broadcast(a.at[r * a.row + k * a.column]);
            for (int v = 0; v < V; ++v) sum[r][v] += y * x[v];
        }
    }
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) store(c + r * c_stride + v * W, sum[r][v]);
}

template <int V>
void panel(Matrix a, int64_t rows, const float* b, int64_t b_stride, int64_t n, float* c, int64_t c_stride, bool add) {
    int64_t r = 0;
    for (; r + block_rows <= rows; r += block_rows, a.at += block_rows * a.row)
        block<block_rows, V>(a, b, b_stride, n, c + r * c_stride, c_stride, add);
    for (; r < rows; ++r, a.at += a.row) block<1, V>(a, b, b_stride, n, c + r * c_stride, c_stride, add);
}

// c = a b, or c += a b: a is rows x n, b n x columns; columns are a whole number of vectors.
void multiply(const Matrix& a, int64_t rows, const float* b, int64_t b_stride, int64_t n, float* c, int64_t c_stride,
              int64_t columns, bool add) {
    for (int64_t k = 0; k < n; k += depth) {
        const int64_t terms = n - k < depth ? n - k : depth;
        const Matrix part{a.at + k * a.column, a.row, a.column};
        const float* const first = b + k * b_stride;
        int64_t j = 0;
        for (; j + 2 * W <= columns; j += 2 * W)
            panel<2>(part, rows, first + j, b_stride, terms, c + j, c_stride, add || k > 0);
        if (j < columns) panel<1>(part, rows, first + j, b_stride, terms, c + j, c_stride, add || k > 0);
    }
}

void products(const float* a, int64_t rows, int64_t width, const float* transposed, int64_t stride, float* out) {
    multiply({a, width, 1}, rows, transposed, stride, width, out, stride, stride, false);
}

void transpose(const float* from, int64_t n, int64_t width, float* to) {
    const int64_t stride = padded(n);
    for (int64_t k = 0; k < width; ++k) {
        for (int64_t j = 0; j < n; ++j) to[k * stride + j] = from[j * width + k];
        for (int64_t j = n; j < stride; ++j) to[k * stride + j] = 0;
    }
}

inline float dot(const float* a, const float* b, int64_t width) {
    vf sum = {};
    for (int64_t k = 0; k < width; k += W) sum += load(a + k) * load(b + k);
    return total(sum);
}

template <class Loss>
double tile(const Tile& t, const RankingParameters& parameters) {
    const int64_t width = t.width, stride = padded(t.columns);
    transpose(t.negatives, t.columns, width, t.transposed);
    double loss = 0;
    for (int64_t first = 0; first < t.rows; first += strip_rows) {
        const int64_t rows = t.rows - first < strip_rows ? t.rows - first : strip_rows;
        const float* const users = t.users + first * width;
        products(users, rows, width, t.transposed, stride, t.scores);
        for (int64_t r = first; r < first + rows; ++r) {
            float* const z = t.scores + (r - first) * stride;
            for (int64_t j = 0; j < stride; j += W)
                store(z + j, load(z + j) - load(t.corrections + j) - t.row_corrections[r]);
            for (int64_t j = t.columns; j < stride; ++j) z[j] = lowest;
            const int32_t *const hidden = t.hidden + t.hidden_indptr[r], *const end = t.hidden + t.hidden_indptr[r + 1];
            for (const int32_t* j = hidden; j != end; ++j) z[*j] = lowest;
            const int64_t count = t.columns - (end - hidden);
            const float *const user = t.users + r * width, *const item = t.items + r * width;
            float* const item_gradient = t.item_gradients + r * width;
            float slope = 0;
            loss += static_cast<double>(Loss::row(dot(user, item, width), z, stride,
                                                  static_cast<float>(count > 0 ? count : 1), parameters, &slope));
            for (int64_t k = 0; k < width; k += W) store(item_gradient + k, load(user + k) * slope);
            for (int64_t k = 0; k < width; k += W) store(t.user_gradients + r * width + k, load(item + k) * slope);
        }
        multiply({t.scores, stride, 1}, rows, t.negatives, width, stride, t.user_gradients + first * width, width,
                 width, true);
        multiply({t.scores, 1, stride}, stride, users, width, rows, t.negative_gradients, width, width, first > 0);
    }
    return loss;
}

TileFn tile_for(RankingLoss loss) {
    switch (loss) {
#define MCFAST_LOSS_CASE(id, name, type) \
    case RankingLoss::id: return tile<type>;
        MCFAST_RANKING_LOSSES(MCFAST_LOSS_CASE)
#undef MCFAST_LOSS_CASE
    }
    return nullptr;
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE

namespace mcfast::kernels {
extern const TileTable MCFAST_TABLE(tile);
const TileTable MCFAST_TABLE(tile) = {MCFAST_SET_NAMESPACE::tile_for, MCFAST_SET_NAMESPACE::products,
                                      MCFAST_SET_NAMESPACE::transpose};
}  // namespace mcfast::kernels
