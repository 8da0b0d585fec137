// The search of a batch of queries: chunks of codes are scanned, and what may still enter the k best is scored.
#pragma once

#include <vector>

#include "recall/best.h"
#include "recall/codes.h"
#include "recall/ranking.h"

namespace mcfast::recall {

// Its buffers serve one batch after the other. Queries are numbered inside the batch.
class Scanner {
public:
    Scanner(const Items& items, const Codes& codes, const float* queries, const Filter& filter, int64_t k)
        : items_(items), codes_(codes), queries_(queries), filter_(filter), k_(k) {}

    // Makes the queries first .. first + n - 1 the batch.
    void start(int64_t first, int64_t n);

    // Whether some item of a chunk may be among the k best, by Cauchy-Schwarz.
    bool reaches(int64_t query, const Chunk& chunk) const;

    // Scans a chunk for some queries of the batch.
    void scan(const Chunk& chunk, const std::vector<int32_t>& which);

    // An item needs this <a, b> + offset to be among the k best; -inf before k are known.
    double least(int64_t query) const { return batch_[static_cast<size_t>(query)].least; }

    // A query in the form of the scan.
    const QueryCodes& code(int64_t query) const { return batch_[static_cast<size_t>(query)].code; }

    // Scores some rows, of those that a query may get, without a scan.
    void score(int64_t query, const std::vector<int32_t>& rows);

    // The k best of what was scanned, in no order; ends the search of a query.
    std::vector<Scored>& finish(int64_t query);

private:
    // An item whose <a, b> + offset lies between two bounds, even as float64 arithmetic has it.
    struct Candidate {
        float low, high;
        int32_t row;
    };
    struct Query {
        QueryCodes code;
        double square;                      // <a, a>
        Best best;                          // of what is scored
        size_t full;                        // number of candidates at which they are looked through
        float worst;                        // k items have at least this score,
        double least;                       // so that an item needs this <a, b> + offset
        std::vector<Candidate> candidates;  // what is not scored yet
    };
    // A query while a chunk is scanned.
    struct Active {
        int32_t query;
        double step;      // from sums of codes to scores
        double inverse;   // 1 / step
        double margin;    // how far the score of an item may be from that of its code
        double rounding;  // and a sum of codes from what fp32 makes of it
    };

    float score(int64_t query, int64_t row) const {
        return items_.score(vector(query), batch_[static_cast<size_t>(query)].square, row);
    }
    const float* vector(int64_t query) const { return queries_ + (first_ + query) * items_.width; }
    Query& at(int64_t query) { return batch_[static_cast<size_t>(query)]; }
    double rounding(const Query& query, const Chunk& chunk) const;
    void set_threshold(size_t i);
    void collect(int64_t n_hits);
    void raise(Query& query, float worst) const;
    void sift(Query& query) const;
    void score_candidates(int64_t query, size_t begin, size_t end);

    Items items_;
    const Codes& codes_;
    const float* queries_;
    Filter filter_;
    int64_t k_;
    int64_t first_ = 0;
    std::vector<Query> batch_;
    std::vector<Active> active_;
    std::vector<kernels::ScanQuery> scanned_;
    Buffer<kernels::Hit> hits_;
};

}  // namespace mcfast::recall
