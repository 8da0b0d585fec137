// The interface of the hot loops: plain data and tables of function pointers, one table a file and instruction set.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mcfast::kernels {

// Rows of factors are padded with zeros to a multiple of this many floats, on every instruction set.
constexpr int64_t row_alignment = 16;
constexpr int64_t padded(int64_t factors) { return (factors + row_alignment - 1) / row_alignment * row_alignment; }

// score.cpp: the canonical score, the same bits on every instruction set

struct ScoreTable {
    // fl32(<a, b> + offset), the products summed in float64 over 16 lanes in a fixed order.
    float (*score)(const float* a, const float* b, int64_t width, double offset);
    // The same before the rounding.
    double (*dot)(const float* a, const float* b, int64_t width);
    // The same of finite fp16 numbers, as bits.
    double (*dot_half)(const float* a, const uint16_t* b, int64_t width);
    double (*square_half)(const uint16_t* a, int64_t width);
};

// scan.cpp: inner products of 8-bit codes against thresholds

constexpr int64_t panel_rows = 16;   // items interleaved in a panel: panel[factor / 4][row][factor % 4]
constexpr int64_t block_width = 64;  // factors whose products are summed in 16 bits before they are in 32

// Codes of items lie in -127..127 and are stored plus code_bias; those of queries in -query_codes..query_codes, so that
// two products fit 16 bits. A lane sums the factors k of a block with equal k % 4 / 2; that no sum leaves 16 bits in
// the end is for the caller to see to (in between they may wrap around).
constexpr int code_bias = 128;
constexpr int query_codes = 64;

// What a query takes off the sums of a block for code_bias: two 16-bit numbers, for the two lanes, and their exact sum.
struct Bias {
    uint32_t lanes;
    int32_t whole;
};

struct ScanQuery {
    const int8_t* codes;  // `width` of them
    const Bias* biases;   // one a block
    float threshold;      // a row is a hit unless its score is below; a score is its sum plus scale * offset
    float scale;
};

struct Hit {
    int32_t query, row;
    float score;
};

struct Scan {
    const uint8_t* panels;  // n_panels panels, each width x panel_rows, 64-byte aligned
    const float* offsets;   // panel_rows a panel, or null
    int64_t n_panels;
    int32_t first_row;  // number of the first row of the first panel
    int64_t width;      // padded factors
    const ScanQuery* queries;
    int64_t n_queries;
    Hit* hits;  // room for n_queries * n_panels * panel_rows; written query by query or tile by tile, rows ascending
};

struct ScanTable {
    int64_t (*scan)(const Scan&);  // returns the number of hits
};

// sgd.cpp: one block of the training grid

// What a row carries besides its factors; one vector of four floats.
struct RowState {
    float factor_step;  // AdaGrad's sum for the factors: mean squared gradients, from 1
    float bias_step;    // the same for the bias
    float bias;
    float norm;  // squared, of the factors; carried from step to step by the plain kernel
};

constexpr int lanes = 4;              // samples of a step
constexpr uint16_t idle = 0xffff;     // the user and the item of a lane without a sample
constexpr int64_t steps_overrun = 8;  // steps behind the last one that may be read, not used

// Samples of different users and different items, trained at the same time.
struct Samples {
    uint16_t users[lanes], items[lanes];
    float scores[lanes];
};

// Steps in a row. The first ones have no idle lane, and share no user and no item with the step before.
struct Stretch {
    int32_t overlapping, others;
};

// Rows are local to the block's stripes.
struct Block {
    const Samples* steps;
    const Stretch* stretches;
    int64_t n_stretches;
    const float* weights;                // `lanes` a step; null: 1
    float *user_factors, *item_factors;  // first rows of the stripes, 64-byte aligned, `width` floats a row
    RowState *user_states, *item_states;
    const float *user_shares, *item_shares;  // of the regularization, that a step of a row takes; null: 1
};

struct Step {
    int64_t factors;  // true number, at most `width`
    int64_t width;    // padded factors
    float learning_rate;
    float bias_learning_rate;  // 0: no biases
    float offset;              // of every prediction
    float user_l2, item_l2, bias_l2;
    float user_l1, item_l1;
    bool nonnegative;
};

// Trains on every sample of a block once; returns the sum of the losses before each step.
using BlockFn = double (*)(const Block&, const Step&);

// What scores are, for a loss: ratings are centred and divided by their standard deviation, the others are taken as
// they are. Predictions are log-odds of labels 0..1, logarithms of counts, margins of labels -1 and +1.
enum class Scores { ratings, labels, counts, signs };

// Losses: X(name, type, scores). One line here and one file in losses/ make a loss.
#define MCFAST_LOSSES(X)           \
    X(squared, Squared, ratings)   \
    X(absolute, Absolute, ratings) \
    X(huber, Huber, ratings)       \
    X(logistic, Logistic, labels)  \
    X(poisson, Poisson, counts)    \
    X(hinge, Hinge, signs)

enum class Loss : int {
#define MCFAST_LOSS_ID(name, type, scores) name,
    MCFAST_LOSSES(MCFAST_LOSS_ID)
#undef MCFAST_LOSS_ID
};

struct SgdTable {
    // The plain kernel knows neither weights, shares, L1 nor nonnegative factors, and carries the norms.
    BlockFn (*block)(Loss, bool plain, int64_t width);
    // Measures the norms of rows; the plain kernel wants them at the start of an epoch.
    void (*measure)(const float* factors, RowState* states, int64_t n_rows, int64_t width);
    // The sum of the losses of predictions, added in order.
    double (*loss)(Loss, const float* scores, const float* predictions, int64_t n);
};

// sums.cpp: weighted sums of rows of a table

// Row i of n has the terms starts[i] .. starts[i + 1]; each has a row of the table and a coefficient.
struct Sums {
    int64_t n, width;  // padded factors
    const int64_t* starts;
    const int32_t* rows;
    const float* coefficients;
};

// Tables and blocks are 64-byte aligned, `width` numbers a row.
template <class T>
struct SumsOf {
    // block[i] = the sum of coefficient * table[row]
    void (*gather)(const Sums&, const T* table, T* block);
};

struct SumsTable {
    SumsOf<float> singles;
    SumsOf<double> doubles;
};

// tile.cpp: some positive pairs against negatives that they share

// A score z is the inner product of a user's row with an item's. A loss of positive p and negatives j is a function of
// z_p and z_j - corrections[j] - row_corrections[r]; a negative that a row may not meet has a score of minus infinity.
struct Tile {
    int64_t rows, columns, width;  // positives, negatives, padded factors
    const float *users, *items;    // rows x width: the sides of the positives
    const float* negatives;        // padded(columns) x width, the padding 0
    const float* corrections;      // padded(columns), the padding anything
    const float* row_corrections;  // rows
    const int32_t* hidden_indptr;  // the columns that a row may not meet, as in CSR
    const int32_t* hidden;
    float *user_gradients, *item_gradients;  // rows x width; written
    float* negative_gradients;               // padded(columns) x width; written
    float* transposed;                       // scratch, width x padded(columns)
    float* scores;                           // scratch, strip_rows x padded(columns)
};

constexpr int64_t strip_rows = 64;  // of a tile done at a time, so that their scores stay in the cache

struct RankingParameters {
    float margin;
    float negative_weight;
};

// Ranking losses: X(id, name, type). One line here and one file in ranking/ make a loss.
#define MCFAST_RANKING_LOSSES(X)                       \
    X(softmax, "softmax", Softmax)                     \
    X(bsl, "bsl", Bilateral)                           \
    X(bpr, "bpr", Bpr)                                 \
    X(pairwise_hinge, "pairwise-hinge", PairwiseHinge) \
    X(logistic, "logistic", Pointwise)                 \
    X(ccl, "ccl", CosineContrastive)

enum class RankingLoss : int {
#define MCFAST_LOSS_ID(id, name, type) id,
    MCFAST_RANKING_LOSSES(MCFAST_LOSS_ID)
#undef MCFAST_LOSS_ID
};

// Writes the gradients of a tile and returns the sum of its losses.
using TileFn = double (*)(const Tile&, const RankingParameters&);

struct TileTable {
    TileFn (*tile)(RankingLoss);
    // out[r][c] = <a[r], b[c]>, b given by columns: `transposed` is width x stride, out rows x stride, stride a
    // multiple of row_alignment.
    void (*products)(const float* a, int64_t rows, int64_t width, const float* transposed, int64_t stride, float* out);
    // to, width x padded(n), of from, n x width; what is padded is 0.
    void (*transpose)(const float* from, int64_t n, int64_t width, float* to);
};

// dispatch.cpp

struct Set {
    const char* name;
    const ScoreTable* score;
    const ScanTable* scan;
    const SgdTable* sgd;
    const SumsTable* sums;
    const TileTable* tile;
    bool (*supported)();
};

// Every set of this build, the plainest first, up to the newest; find() answers null for an unknown name.
const Set* sets(int* count);
const Set* find(const char* name);

// The set in use: the newest this machine has, or the one that MCFAST_ISA names. use() picks another (for tests).
// Both throw std::invalid_argument for a set that is unknown or that this machine lacks.
const Set& active();
void use(const char* name);

}  // namespace mcfast::kernels
