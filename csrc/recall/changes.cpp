#include "recall/changes.h"

#include <algorithm>

#include "parallel.h"

namespace mcfast::recall {
namespace {

constexpr int64_t batch_queries = 120;

bool contains(const std::vector<uint64_t>& words, int64_t i) {
    return words[static_cast<size_t>(i / 64)] >> (i % 64) & 1;
}

void erase(uint64_t* words, int64_t i) { words[i / 64] &= ~(uint64_t{1} << (i % 64)); }

}  // namespace

struct Changes::Block {
    explicit Block(int64_t width) : rows(block_rows * width), offsets(block_rows), ids(block_rows) {}

    Items items(const Items& built, int64_t n) const {
        return {rows.data(),  n,         built.width, built.metric == Metric::ip ? offsets.data() : nullptr,
                built.metric, ids.data()};
    }

    Buffer<float> rows, offsets;
    Buffer<int32_t> ids;
};

Bits Changes::State::alive() const {
    return alive_ ? Bits{alive_->data(), static_cast<int64_t>(alive_->size())} : Bits{};
}

void Changes::search(const State& state, const float* queries, int64_t n_queries, const Filter& filter, int threads,
                     const Answers& answers) const {
    const int64_t k = answers.k;
    if (state.parts_.empty() || k == 0) return;
    parallel::chunks(threads, n_queries, batch_queries, [&](int64_t, int64_t begin, int64_t end) {
        std::vector<Best> best;
        for (int64_t q = begin; q < end; ++q) {
            best.emplace_back(k);
            for (int64_t i = q * k; i < q * k + answers.counts[q]; ++i)
                best.back().add({static_cast<int32_t>(answers.rows[i]), answers.scores[i]});
        }
        for (const Part& part : state.parts_) search(part, queries, begin, end, filter, best);
        for (int64_t q = begin; q < end; ++q) answers.write(q, best[static_cast<size_t>(q - begin)].finish());
    });
}

void Changes::search(const Part& part, const float* queries, int64_t begin, int64_t end, Filter filter,
                     std::vector<Best>& best) const {
    filter.alive = {part.alive.data(), static_cast<int64_t>(part.alive.size())};
    if (!part.codes) {
        const Items items = part.block->items(built_, part.n);
        for (int64_t q = begin; q < end; ++q) {
            const float* const query = queries + q * items.width;
            const double square = Items::dot(query, query, items.width);
            for (int64_t i = 0; i < part.n; ++i)
                if (filter.allows(q, i, items.id(i)))
                    best[static_cast<size_t>(q - begin)].add({items.id(i), items.score(query, square, i)});
        }
        return;
    }
    std::vector<float> least;
    for (const Best& found : best) least.push_back(found.threshold());
    filter.least = least.data();
    if (filter.exclude_indptr) filter.exclude_indptr += begin;
    const int64_t n = end - begin, k = std::min(best.front().k(), part.n);
    std::vector<int64_t> rows(static_cast<size_t>(n * k)), counts(static_cast<size_t>(n));
    std::vector<float> scores(rows.size());
    part.codes->search(queries + begin * built_.width, n, k, filter, 1, rows.data(), scores.data(), counts.data());
    for (size_t q = 0; q < best.size(); ++q)
        for (size_t i = q * static_cast<size_t>(k); i < q * static_cast<size_t>(k) + static_cast<size_t>(counts[q]);
             ++i)
            best[q].add({static_cast<int32_t>(rows[i]), scores[i]});
}

int64_t Changes::add(const float* rows, const float* offsets, int64_t n) {
    const std::lock_guard lock(writing_);
    State next = *state_;
    const int64_t first = next.size;
    for (int64_t i = 0; i < n; ++i)
        append(next, static_cast<int32_t>(first + i), rows + i * built_.width, offsets ? offsets[i] : 0);
    set(std::move(next));
    return first;
}

void Changes::put(const int32_t* ids, const float* rows, const float* offsets, int64_t n) {
    const std::lock_guard lock(writing_);
    State next = *state_;
    drop(next, ids, n);
    for (int64_t i = 0; i < n; ++i) append(next, ids[i], rows + i * built_.width, offsets ? offsets[i] : 0);
    set(std::move(next));
}

void Changes::remove(const int32_t* ids, int64_t n) {
    const std::lock_guard lock(writing_);
    State next = *state_;
    drop(next, ids, n);
    set(std::move(next));
}

void Changes::append(State& next, int32_t id, const float* row, float offset) {
    if (next.parts_.empty() || next.parts_.back().n == block_rows)
        next.parts_.push_back({std::make_shared<Block>(built_.width), 0, {}, nullptr});
    Part& part = next.parts_.back();
    std::copy_n(row, built_.width, &part.block->rows[part.n * built_.width]);
    part.block->offsets[part.n] = offset;
    part.block->ids[part.n] = id;
    part.alive[static_cast<size_t>(part.n / 64)] |= uint64_t{1} << (part.n % 64);
    places_[id] = (static_cast<int64_t>(next.parts_.size()) - 1) * block_rows + part.n;
    if (++part.n == block_rows) part.codes = std::make_shared<Exact>(part.block->items(built_, part.n), 1);
    next.size = std::max(next.size, int64_t{id} + 1);
}

void Changes::drop(State& next, const int32_t* ids, int64_t n) {
    std::shared_ptr<std::vector<uint64_t>> alive;
    for (int64_t i = 0; i < n; ++i) {
        const int32_t id = ids[i];
        next.size = std::max(next.size, int64_t{id} + 1);
        const auto place = places_.find(id);
        if (place != places_.end()) {
            erase(next.parts_[static_cast<size_t>(place->second / block_rows)].alive.data(),
                  place->second % block_rows);
            places_.erase(place);
        }
        if (id >= built_.n) continue;
        if (!alive) {
            alive = next.alive_ ? std::make_shared<std::vector<uint64_t>>(*next.alive_)
                                : std::make_shared<std::vector<uint64_t>>((built_.n + 63) / 64, ~uint64_t{0});
            next.alive_ = alive;
        }
        erase(alive->data(), id);
    }
}

void Changes::vectors(const int32_t* ids, int64_t n, float* to, float* offsets) const {
    const std::lock_guard lock(writing_);
    for (int64_t i = 0; i < n; ++i) {
        const auto place = places_.find(ids[i]);
        const float* row = nullptr;
        std::vector<float> room(static_cast<size_t>(built_.width));
        float offset = 0;
        if (place != places_.end()) {
            const Block& block = *state_->parts_[static_cast<size_t>(place->second / block_rows)].block;
            row = &block.rows[place->second % block_rows * built_.width];
            offset = block.offsets[place->second % block_rows];
        } else if (ids[i] < built_.n && (!state_->alive_ || contains(*state_->alive_, ids[i]))) {
            row = built_.row(ids[i], room.data());
            offset = built_.offset(ids[i]);
        }
        if (row)
            std::copy_n(row, built_.width, to + i * built_.width);
        else
            std::fill_n(to + i * built_.width, built_.width, 0.0f);
        if (offsets) offsets[i] = offset;
    }
}

std::vector<int32_t> Changes::put_rows() const {
    const std::lock_guard lock(writing_);
    std::vector<int32_t> rows;
    for (const auto& [id, place] : places_) rows.push_back(id);
    std::sort(rows.begin(), rows.end());
    return rows;
}

std::vector<int32_t> Changes::removed_rows() const {
    const std::lock_guard lock(writing_);
    std::vector<int32_t> rows;
    for (int32_t id = 0; id < state_->size; ++id) {
        const bool built = id < built_.n && (!state_->alive_ || contains(*state_->alive_, id));
        if (!built && !places_.count(id)) rows.push_back(id);
    }
    return rows;
}

int64_t Changes::bytes() const {
    const auto state = now();
    int64_t bytes = state->alive_ ? static_cast<int64_t>(state->alive_->size() * sizeof(uint64_t)) : 0;
    for (const Part& part : state->parts_)
        bytes += block_rows * (built_.width + 2) * int64_t{4} + (part.codes ? part.codes->bytes() : 0);
    return bytes;
}

}  // namespace mcfast::recall
