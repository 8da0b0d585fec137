// Training by positives against sampled negatives: one epoch at a time. A step is a batch of positives in tiles, each
// with negatives of its own. First every tile computes gradients, all of them with the vectors as they were before the
// step, into memory of its own; then every row that was met takes one step along the sum of its gradients, added in the
// order of the tiles. Nothing depends on who computes a tile or a row. Where the vectors of a side are composed, all
// that is said of rows here holds of rows of its parameters.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "kernels/kernels.h"
#include "rank/contributions.h"
#include "rank/hard.h"
#include "rank/sampler.h"
#include "rank/side.h"
#include "rank/table.h"

namespace mcfast::rank {

constexpr int64_t tile_rows = 256;  // positives that share negatives

struct Positives {
    const int32_t *users, *items;
    int64_t n;
    int32_t n_users, n_items;
};

struct Options {
    int64_t factors = 64;
    kernels::RankingLoss loss = kernels::RankingLoss::softmax;
    kernels::RankingParameters parameters{0, 1};
    bool cosine = false;
    double temperature = 1;  // scores are divided by it
    bool learn_temperature = false;
    float user_l2 = 0, item_l2 = 0;  // of a row, once for each of its positives
    double dropout = 0;              // probability that an entry of a user's vector is left out, for a positive
    double id_dropout = 0;           // probability that the default id takes the place of an id, where it is composed
    double subsampling = 0;          // share of positives from which on an item's are left out at random; 0: none
    bool hide_known = false;         // keep positives of a user from being its negatives, not only the one at hand
    Sampling negatives;
    int64_t pool = 4096;  // items among which hard negatives are looked for
    Optimizer optimizer = Optimizer::adagrad;
    int64_t batch = 4096;
    uint64_t seed = 0;
    int threads = 1;  // for preparation
};

class Trainer {
public:
    // `given`: hard negatives of users; without any, they are looked for. Sides with parts are composed.
    Trainer(const Positives& positives, const Lists& given, std::optional<Parts> of_users,
            std::optional<Parts> of_items, const Options& options);

    // One pass over the positives; returns their mean loss, each before its step, or NaN where a loss or a vector is no
    // longer finite. `poll` gets the number done, on the calling thread; what it throws is rethrown, the state then
    // being in the middle of the epoch.
    double epoch(uint32_t number, float learning_rate, int threads, const std::function<void(int64_t)>& poll);

    // Keep the state, and go back to it.
    void checkpoint(int threads);
    void restore(int threads);
    void drop_checkpoint() { saved_.reset(); }

    const Side& users() const { return users_side_; }
    const Side& items() const { return items_side_; }
    // Of vectors, or of parameters where these are composed.
    Table& user_table() { return state_.users; }
    Table& item_table() { return state_.items; }
    double temperature() const;
    int64_t width() const { return width_; }
    const Sampler& sampler() const { return *sampler_; }

private:
    struct State {
        Table users, items;
        double log_scale;      // of scores: minus the logarithm of the temperature
        double scale_squares;  // AdaGrad's sum for it
    };
    // A tile's gradients and draws, and what whoever computes it works in. Items are those of the positives, then the
    // negatives.
    struct Result {
        Buffer<float> users, items;
        std::optional<Composition> of_users, of_items;
        Negatives drawn;
        double loss, scale_slope;
    };
    struct Desk {
        Buffer<float> vectors, users, items, row_corrections, transposed, scores;
        std::vector<int32_t> item_rows;
        std::vector<uint8_t> dropped_users, dropped_items;
        compose::Places user_places, item_places;
        std::optional<Composition> of_pool;
        std::vector<int32_t> hidden_indptr, hidden;
        std::vector<uint64_t> present;  // a bit an item: whether it is among the negatives
        std::optional<Miner> miner;
        std::vector<int32_t> hard;
    };
    struct Step {
        uint32_t epoch, first_tile;
        std::vector<int32_t> users, items;  // of the batch
    };

    void compute(const Step& step, int64_t tile, Result& to, Desk& desk);
    void hide(const Step& step, int64_t first, int64_t rows, const Negatives& drawn, Desk& desk) const;
    std::vector<uint8_t> drop(uint32_t epoch, uint32_t tile, int64_t first, int64_t n) const;
    void scale(const Step& step, int64_t first, int64_t rows, const float* vectors, float* to) const;
    void scale_back(int64_t rows, const float* vectors, const float* scaled, float* gradients) const;
    void backward(int64_t rows, const Desk& desk, Result& to) const;
    void collect(const Step& step, int64_t tiles, bool users);
    void update(const Side& side, Table& table, const Contributions& contributions, float l2, float learning_rate,
                int threads);

    Options options_;
    int64_t width_;
    Side users_side_, items_side_;
    std::vector<int32_t> users_, items_;  // of the positives
    std::vector<int64_t> order_;          // of the positives of an epoch
    std::vector<double> keep_;            // probability that a positive of an item takes part in an epoch
    Lists known_, given_;                 // positives of users, with hide_known; hard negatives of users
    std::optional<Sampler> sampler_;
    State state_;
    std::optional<State> saved_;
    std::vector<Result> results_;
    Contributions of_users_, of_items_;
};

}  // namespace mcfast::rank
