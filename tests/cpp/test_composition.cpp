#include "compose/composition.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support.h"

namespace mcfast::test {
namespace {

using compose::Composition;
using compose::Terms;

constexpr int64_t n_rows = 30;
constexpr int32_t default_id = n_rows, n_parameters = n_rows + 1 + 9;

struct Problem {
    std::vector<int64_t> indptr{0};
    std::vector<int32_t> parameters;
    std::vector<float> coefficients;

    explicit Problem(Random& random) {
        for (int32_t i = 0; i < n_rows; ++i) {
            parameters.push_back(i);
            for (int64_t t = integer(random, 0, 4); t > 0; --t)
                parameters.push_back(static_cast<int32_t>(integer(random, default_id + 1, n_parameters - 1)));
            while (coefficients.size() < parameters.size()) coefficients.push_back(uniform(random));
            indptr.push_back(static_cast<int64_t>(parameters.size()));
        }
    }
    Terms terms() const { return {indptr.data(), parameters.data(), coefficients.data(), n_parameters, default_id}; }
};

TEST(Composition, OneObjectServesTileAfterTileOnEverySet) {
    Random random(1);
    const Problem problem(random);
    for (const kernels::Set* set : supported_sets())
        for (const int64_t width : {16, 64, 80, 192}) {
            SCOPED_TRACE(testing::Message() << set->name << ", width " << width);
            const UseSet use(set);
            const Buffer<float> table = matrix(n_parameters, width, [&] { return uniform(random); });
            Composition<float> composition(problem.terms(), width, false);
            compose::Places places;
            for (const int64_t n : {7, 1, 20}) {
                std::vector<int32_t> rows;
                std::vector<uint8_t> dropped;
                for (int64_t i = 0; i < n; ++i) {
                    rows.push_back(static_cast<int32_t>(integer(random, 0, n_rows - 1)));
                    dropped.push_back(static_cast<uint8_t>(integer(random, 0, 1)));
                }
                Buffer<float> block(n * width), d_block = matrix(n, width, [&] { return uniform(random); });
                composition.lay(rows.data(), dropped.data(), nullptr, n, places);
                composition.compose(table.data(), block.data());
                std::vector<double> sums(static_cast<size_t>(n * width)), gradients(n_parameters * 192u);
                std::vector<bool> met(n_parameters);
                for (int64_t i = 0; i < n; ++i)
                    for (int64_t t = problem.indptr[static_cast<size_t>(rows[static_cast<size_t>(i)])], first = t;
                         t < problem.indptr[static_cast<size_t>(rows[static_cast<size_t>(i)]) + 1]; ++t) {
                        const bool out = t == first && dropped[static_cast<size_t>(i)];
                        const int32_t p = out ? default_id : problem.parameters[static_cast<size_t>(t)];
                        const double by = static_cast<double>(problem.coefficients[static_cast<size_t>(t)]);
                        met[static_cast<size_t>(p)] = true;
                        for (int64_t k = 0; k < width; ++k) {
                            sums[static_cast<size_t>(i * width + k)] += by * static_cast<double>(table[p * width + k]);
                            gradients[static_cast<size_t>(p * width + k)] +=
                                by * static_cast<double>(d_block[i * width + k]);
                        }
                    }
                for (int64_t i = 0; i < n * width; ++i) EXPECT_NEAR(block[i], sums[static_cast<size_t>(i)], 1e-5);
                composition.backward(block.data(), d_block.data());
                EXPECT_EQ(composition.touched(), std::count(met.begin(), met.end(), true));
                for (int64_t i = 0; i < composition.touched(); ++i)
                    for (int64_t k = 0; k < width; ++k)
                        EXPECT_NEAR(composition.slope(i).by * composition.slope(i).vector[k],
                                    gradients[static_cast<size_t>(composition.parameter(i) * width + k)], 1e-5);
            }
        }
}

TEST(Composition, GradientsOfUnitRowsAreAcrossThem) {
    Random random(2);
    const Problem problem(random);
    const Buffer<double> table = [&] {
        Buffer<double> out(n_parameters * 16);
        for (int64_t i = 0; i < n_parameters * 16; ++i) out[i] = static_cast<double>(uniform(random));
        return out;
    }();
    Composition<double> composition(problem.terms(), 16, true);
    const int32_t row = 5;
    Buffer<double> block(16), d_block(16);
    compose::Places places;
    composition.lay(&row, nullptr, nullptr, 1, places);
    composition.compose(table.data(), block.data());
    for (int64_t k = 0; k < 16; ++k) d_block[k] = static_cast<double>(uniform(random));
    composition.backward(block.data(), d_block.data());
    double length = 0, along = 0;
    for (int64_t k = 0; k < 16; ++k) {
        length += block[k] * block[k];
        along += block[k] * composition.slope(0).by * composition.slope(0).vector[k];
    }
    EXPECT_NEAR(length, 1, 1e-12);
    EXPECT_NEAR(along, 0, 1e-12);
}

}  // namespace
}  // namespace mcfast::test
