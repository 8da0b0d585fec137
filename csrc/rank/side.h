// One side of a training, users or items: its vectors are rows of a table, or composed of rows of a table of
// parameters.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "compose/composition.h"
#include "rank/table.h"

namespace mcfast::rank {

using Composition = compose::Composition<float>;

// Terms and their memory.
struct Parts {
    std::vector<int64_t> indptr, histories;
    std::vector<int32_t> parameters;
    std::vector<float> coefficients;
    int32_t n_parameters, default_id, first_item;
    double power;
    int32_t units;

    compose::Terms terms() const;
};

class Side {
public:
    Side(int32_t n_rows, std::optional<Parts> parts, int64_t width, bool unit);

    int64_t n_rows() const { return n_rows_; }
    bool composed() const { return parts_.has_value(); }
    bool with_histories() const { return composed() && !parts_->histories.empty(); }
    // Rows that a block of n vectors needs room for while it is composed.
    int64_t room(int64_t n) const { return with_histories() ? n + n / 2 : n; }
    // Rows of the table stay on the unit sphere; if composed, only what is made of them does.
    bool unit_table() const { return unit_ && !composed(); }

    // A table for this side, and its first state; `counts`: the positives of each row. What no row with a positive is
    // made of is 0, and so is of a tower what it adds.
    Table table(int64_t factors, Optimizer optimizer) const;
    void initialise(Table& table, const std::vector<int64_t>& counts, float noise, uint64_t seed, Stream stream,
                    int threads) const;

    // Empty where vectors are rows of the table.
    std::optional<Composition> composition() const;
    // The vectors of rows; `composition`, one of this side, then knows what they are made of. See Composition::lay.
    void gather(const Table& table, const int32_t* rows, const uint8_t* dropped, const int32_t* without, int64_t n,
                std::optional<Composition>& composition, compose::Places& places, float* to) const;
    // The vectors of all rows.
    void read(const Table& table, float* to, int threads) const;

private:
    int32_t n_rows_;
    std::optional<Parts> parts_;
    int64_t width_;
    bool unit_;
};

}  // namespace mcfast::rank
