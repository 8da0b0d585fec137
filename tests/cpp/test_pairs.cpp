#include "data/pairs.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "support.h"

namespace mcfast::test {
namespace {

struct Pairs {
    std::vector<int32_t> users, items;
    Pairs(int64_t n, int32_t n_users, int32_t n_items) {
        Random random(1);
        for (int64_t i = 0; i < n; ++i) {
            users.push_back(static_cast<int32_t>(integer(random, 0, n_users - 1)));
            items.push_back(static_cast<int32_t>(integer(random, 0, n_items - 1)));
        }
    }
    int64_t size() const { return static_cast<int64_t>(users.size()); }
};

TEST(Pairs, FirstOfPair) {
    for (const int threads : {1, 2, 7}) {
        const Pairs p(8000, 3000, 5);  // more users than one grain, most pairs repeated or missing
        std::map<std::pair<int32_t, int32_t>, int64_t> seen;
        std::vector<int64_t> expected;
        for (size_t i = 0; i < p.users.size(); ++i)
            expected.push_back(seen.emplace(std::pair(p.users[i], p.items[i]), static_cast<int64_t>(i)).first->second);
        std::vector<int64_t> first;
        const int64_t repeated = data::first_of_pair(p.users.data(), p.items.data(), p.size(), 3000, 5, first, threads);
        EXPECT_EQ(repeated, p.size() - static_cast<int64_t>(seen.size()));
        EXPECT_EQ(first, expected);
    }
}

TEST(Pairs, NothingRepeatedLeavesFirstEmpty) {
    std::vector<int32_t> users{0, 0, 1, 2}, items{0, 1, 0, 1};
    std::vector<int64_t> first{7};
    EXPECT_EQ(data::first_of_pair(users.data(), items.data(), 4, 3, 2, first, 2), 0);
    EXPECT_TRUE(first.empty());
    EXPECT_EQ(data::first_of_pair(users.data(), items.data(), 0, 0, 0, first, 2), 0);
    EXPECT_TRUE(first.empty());
}

TEST(Pairs, ItemsOfUsers) {
    for (const int threads : {1, 2, 7}) {
        const Pairs p(9000, 2500, 6);
        const data::Csr csr = data::items_of_users(p.users.data(), p.items.data(), p.size(), 2503, threads);
        std::vector<std::set<int32_t>> expected(2503);  // the last three users have nothing
        for (size_t i = 0; i < p.users.size(); ++i) expected[static_cast<size_t>(p.users[i])].insert(p.items[i]);
        ASSERT_EQ(csr.indptr.size(), 2504u);
        EXPECT_EQ(csr.indptr.back(), static_cast<int64_t>(csr.rows.size()));
        for (size_t u = 0; u < expected.size(); ++u)
            EXPECT_EQ(std::vector<int32_t>(csr.rows.begin() + csr.indptr[u], csr.rows.begin() + csr.indptr[u + 1]),
                      std::vector<int32_t>(expected[u].begin(), expected[u].end()))
                << "user " << u;
    }
}

TEST(Pairs, ItemsOfUsersWithTheLargestRows) {
    const std::vector<int32_t> users{0, 0, 0, 0}, items{2147483646, 5, 1 << 22, 5};
    const data::Csr csr = data::items_of_users(users.data(), items.data(), 4, 1, 1);
    EXPECT_EQ(csr.rows, (std::vector<int32_t>{5, 1 << 22, 2147483646}));
}

}  // namespace
}  // namespace mcfast::test
