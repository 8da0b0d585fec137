// What was added to an index, replaced and removed since it was built. Readers take the state of the moment, which
// never changes; writers, one at a time, make the next one, and what they wrote is in it when they return.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "recall/exact.h"

namespace mcfast::recall {

class Changes {
    struct Block;
    static constexpr int64_t block_rows = 1024;

    // Vectors that were added. Those to come are written behind the `n` that are read. Once there is no room left, the
    // search goes by codes.
    struct Part {
        std::shared_ptr<Block> block;
        int64_t n;
        std::array<uint64_t, block_rows / 64> alive;
        std::shared_ptr<const Exact> codes;
    };

public:
    class State {
    public:
        int64_t size;  // number of rows, those removed among them

        // The rows that are as they were built; no set where all are.
        Bits alive() const;
        bool changed() const { return alive_ || !parts_.empty(); }
        // Number of vectors that were added, those replaced or removed since among them.
        int64_t added() const {
            return parts_.empty() ? 0 : (static_cast<int64_t>(parts_.size()) - 1) * block_rows + parts_.back().n;
        }

    private:
        friend Changes;
        State(int64_t n) : size(n) {}
        std::shared_ptr<const std::vector<uint64_t>> alive_;
        std::vector<Part> parts_;
    };

    // Keeps the pointers of what was built, which must outlive it.
    explicit Changes(const Items& built) : built_(built), state_(new State(built.n)) {}

    std::shared_ptr<const State> now() const { return std::atomic_load(&state_); }

    // Takes what a state has added into answers.
    void search(const State& state, const float* queries, int64_t n_queries, const Filter& filter, int threads,
                const Answers& answers) const;

    // Gives vectors (of the width of the others, and with offsets, null for 0) the next rows; returns the first.
    int64_t add(const float* rows, const float* offsets, int64_t n);
    // Gives vectors distinct rows, which may be in use, removed, or new.
    void put(const int32_t* ids, const float* rows, const float* offsets, int64_t n);
    // Removes rows, of which some may be removed already.
    void remove(const int32_t* ids, int64_t n);

    // Writes the vectors of rows, and their offsets unless that is null; zeros where one is removed.
    void vectors(const int32_t* ids, int64_t n, float* to, float* offsets) const;
    std::vector<int32_t> put_rows() const;      // that have a vector which was added
    std::vector<int32_t> removed_rows() const;  // that have none
    int64_t bytes() const;

private:
    void search(const Part& part, const float* queries, int64_t begin, int64_t end, Filter filter,
                std::vector<Best>& best) const;
    void append(State& next, int32_t id, const float* row, float offset);
    void drop(State& next, const int32_t* ids, int64_t n);
    void set(State next) { std::atomic_store(&state_, std::make_shared<const State>(std::move(next))); }

    Items built_;
    mutable std::mutex writing_;
    std::shared_ptr<const State> state_;
    std::unordered_map<int32_t, int64_t> places_;  // of rows, among the vectors that were added
};

}  // namespace mcfast::recall
