#include "rank/side.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "compose/tower.h"
#include "parallel.h"

namespace mcfast::rank {
namespace {

constexpr int64_t grain = 1024;  // rows read at a time

}  // namespace

compose::Terms Parts::terms() const {
    return {indptr.data(),
            parameters.data(),
            coefficients.data(),
            n_parameters,
            default_id,
            histories.empty() ? nullptr : histories.data(),
            first_item,
            power,
            units};
}

Side::Side(int32_t n_rows, std::optional<Parts> parts, int64_t width, bool unit)
    : n_rows_(n_rows), parts_(std::move(parts)), width_(width), unit_(unit) {}

Table Side::table(int64_t factors, Optimizer optimizer) const {
    return Table(composed() ? parts_->n_parameters : n_rows_, factors, width_, optimizer);
}

void Side::initialise(Table& table, const std::vector<int64_t>& counts, float noise, uint64_t seed, Stream stream,
                      int threads) const {
    std::vector<int64_t> used(counts);
    if (composed()) {
        used.assign(static_cast<size_t>(table.n_rows()), 0);
        used[static_cast<size_t>(parts_->default_id)] = 1;
        for (size_t r = 0; r < counts.size(); ++r)
            if (counts[r] > 0)
                for (int64_t t = parts_->indptr[r]; t < parts_->indptr[r + 1]; ++t)
                    used[static_cast<size_t>(parts_->parameters[static_cast<size_t>(t)])] = 1;
        const auto tower = used.end() - compose::Tower<float>::rows(parts_->units, width_);
        std::fill_n(tower, parts_->units, 1);
    }
    table.initialise(used.data(), noise, unit_table(), seed, stream, threads);
}

std::optional<Composition> Side::composition() const {
    if (!composed()) return std::nullopt;
    return Composition(parts_->terms(), width_, unit_);
}

void Side::gather(const Table& table, const int32_t* rows, const uint8_t* dropped, const int32_t* without, int64_t n,
                  std::optional<Composition>& composition, compose::Places& places, float* to) const {
    if (composition) {
        composition->lay(rows, dropped, without, n, places);
        composition->compose(table.row(0), to);
    } else {
        for (int64_t i = 0; i < n; ++i) std::copy_n(table.row(rows[i]), width_, to + i * width_);
    }
}

void Side::read(const Table& table, float* to, int threads) const {
    std::vector<int32_t> rows(static_cast<size_t>(n_rows_));
    std::iota(rows.begin(), rows.end(), 0);
    parallel::chunks(threads, n_rows_, grain, [&](int64_t, int64_t begin, int64_t end) {
        auto composing = composition();
        compose::Places places;
        Buffer<float> block((end - begin) * width_);
        gather(table, rows.data() + begin, nullptr, nullptr, end - begin, composing, places, block.data());
        std::copy(block.begin(), block.end(), to + begin * width_);
    });
}

}  // namespace mcfast::rank
