#include "data/encode.h"

#include <gtest/gtest.h>

#include <limits>
#include <unordered_map>

#include "support.h"

namespace mcfast::test {
namespace {

// Encodes values cut into chunks at random, and compares with a plain map.
void check(const std::vector<int64_t>& values, Random& random) {
    std::unordered_map<int64_t, int32_t> rows;
    std::vector<int64_t> ids;
    std::vector<int32_t> expected;
    for (const int64_t value : values) {
        const auto [at, is_new] = rows.emplace(value, static_cast<int32_t>(ids.size()));
        if (is_new) ids.push_back(value);
        expected.push_back(at->second);
    }
    std::vector<data::Span<int64_t>> chunks{{nullptr, 0}};
    const auto n = static_cast<int64_t>(values.size());
    for (int64_t at = 0; at < n;) {
        const int64_t size = integer(random, 0, n - at);
        chunks.push_back({values.data() + at, size});
        at += size;
    }
    for (const int threads : {1, 2, 3, 7}) {
        SCOPED_TRACE(::testing::Message() << n << " values, " << threads << " threads");
        std::vector<int32_t> got(values.size(), -1);
        EXPECT_EQ(data::encode(chunks, got.data(), threads), ids);
        EXPECT_EQ(got, expected);
    }
}

TEST(Encode, DenseIds) {
    Random random(1);
    for (const int64_t n : {0, 1, 2, 5, 20000}) {
        std::vector<int64_t> values;
        for (int64_t i = 0; i < n; ++i) values.push_back(integer(random, -500, 5000));
        check(values, random);
    }
}

TEST(Encode, SparseIds) {
    Random random(2);
    constexpr int64_t low = std::numeric_limits<int64_t>::min(), high = std::numeric_limits<int64_t>::max();
    std::vector<int64_t> values{low, high, 0, -1, high, low, low + 1};
    check(values, random);
    for (int i = 0; i < 20000; ++i) values.push_back(integer(random, low, high));  // the hash table grows
    for (int i = 0; i < 20000; ++i) values.push_back(values[static_cast<size_t>(integer(random, 0, 20000))]);
    check(values, random);
}

// Multiples of a power of two share their low bits.
TEST(Encode, IdsThatCollide) {
    Random random(3);
    std::vector<int64_t> values;
    for (int i = 0; i < 10000; ++i) values.push_back(integer(random, 0, 4000) << 44);
    check(values, random);
}

}  // namespace
}  // namespace mcfast::test
