#include "train/layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support.h"

namespace mcfast::test {
namespace {

using kernels::Samples;
using train::Loose;
using train::Steps;

// Sorted by user; scores are the numbers of the samples.
std::vector<Loose> drawn(Random& random, int64_t n, int64_t n_users, int64_t n_items) {
    std::vector<Loose> out;
    for (int64_t i = 0; i < n; ++i)
        out.push_back({static_cast<uint16_t>(integer(random, 0, n_users - 1)),
                       static_cast<uint16_t>(integer(random, 0, n_items - 1)), 0});
    std::sort(out.begin(), out.end(), [](const Loose& a, const Loose& b) { return a.user() < b.user(); });
    for (size_t i = 0; i < out.size(); ++i) out[i] = Loose(out[i].user(), out[i].item(), static_cast<float>(i));
    return out;
}

Steps laid_out(train::Layout& layout, std::vector<Loose> samples) {
    return layout(samples.data(), nullptr, static_cast<int64_t>(samples.size()));
}

std::vector<uint16_t> real(const uint16_t* rows) {
    std::vector<uint16_t> out;
    for (int l = 0; l < kernels::lanes; ++l)
        if (rows[l] != kernels::idle) out.push_back(rows[l]);
    return out;
}

bool distinct(std::vector<uint16_t> rows) {
    std::sort(rows.begin(), rows.end());
    return std::unique(rows.begin(), rows.end()) == rows.end();
}

bool distinct(std::vector<uint16_t> a, const std::vector<uint16_t>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return distinct(a);
}

// What the kernel relies on. Returns the number of steps that do not overlap.
int64_t check(const Steps& steps, const std::vector<Loose>& samples) {
    std::vector<int> seen(samples.size());
    steps.for_each([&](uint16_t user, uint16_t item, float score, float) {
        const auto i = static_cast<size_t>(score);
        ++seen[i];
        EXPECT_EQ(user, samples[i].user());
        EXPECT_EQ(item, samples[i].item());
    });
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<int64_t>(samples.size()));

    std::vector<bool> overlapping;
    int64_t others = 0;
    for (const kernels::Stretch *at = steps.stretches, *end = at + steps.n_stretches; at != end; ++at) {
        const kernels::Stretch& s = *at;
        overlapping.insert(overlapping.end(), static_cast<size_t>(s.overlapping), true);
        overlapping.insert(overlapping.end(), static_cast<size_t>(s.others), false);
        others += s.others;
    }
    EXPECT_EQ(static_cast<int64_t>(overlapping.size()), steps.n);
    for (size_t s = 0; s < overlapping.size(); ++s) {
        const Samples& step = steps.samples[s];
        const auto users = real(step.users), items = real(step.items);
        EXPECT_FALSE(users.empty());
        EXPECT_EQ(users.size(), items.size());
        EXPECT_TRUE(distinct(users));
        EXPECT_TRUE(distinct(items));
        if (!overlapping[s]) continue;
        EXPECT_EQ(users.size(), static_cast<size_t>(kernels::lanes));
        if (s == 0) continue;
        EXPECT_TRUE(distinct(users, real(steps.samples[s - 1].users)));
        EXPECT_TRUE(distinct(items, real(steps.samples[s - 1].items)));
    }
    return others;
}

TEST(Layout, StepsShareNoRows) {
    Random random(1);
    train::Layout layout;  // one for all, as in the grid
    for (int repeat = 0; repeat < 20; ++repeat)
        for (const int64_t n : {0, 1, 3, 50, 1000})
            for (const int64_t n_users : {1, 2, 5, 40, 300})
                for (const int64_t n_items : {1, 2, 9, 100, 65535}) {
                    const std::vector<Loose> samples = drawn(random, n, n_users, n_items);
                    check(laid_out(layout, samples), samples);
                }
}

TEST(Layout, NearlyAllStepsOverlapWhereRowsAreMany) {
    Random random(2);
    const std::vector<Loose> samples = drawn(random, 8000, 2000, 800);
    train::Layout layout;
    EXPECT_LE(check(laid_out(layout, samples), samples), 60);
}

// A tenth of the samples has one item: it can stand in each second step, and the rest must not wait for it in vain.
TEST(Layout, AHeavyItemIsSpread) {
    Random random(3);
    std::vector<Loose> samples = drawn(random, 8000, 2000, 800);
    for (size_t i = 0; i < samples.size(); i += 10) samples[i] = Loose(samples[i].user(), 7, samples[i].score());
    train::Layout layout;
    EXPECT_LE(check(laid_out(layout, samples), samples), 200);
}

TEST(Layout, WeightsStayWithTheirSamples) {
    Random random(4);
    std::vector<Loose> samples = drawn(random, 500, 30, 20);
    std::vector<float> weights;
    for (size_t i = 0; i < samples.size(); ++i) weights.push_back(static_cast<float>(i % 7));
    train::Layout layout;
    const std::vector<float> given = weights;
    layout(samples.data(), weights.data(), 500).for_each([&](uint16_t, uint16_t, float score, float weight) {
        EXPECT_EQ(weight, given[static_cast<size_t>(score)]);
    });
}

TEST(Layout, TheSameAgainWhateverWasLaidOutBefore) {
    Random random(5);
    const std::vector<Loose> first = drawn(random, 700, 40, 50), second = drawn(random, 900, 60, 30);
    train::Layout fresh, used;
    laid_out(used, first);
    const Steps a = laid_out(fresh, second), b = laid_out(used, second);
    std::vector<float> scores_a, scores_b;
    a.for_each([&](uint16_t, uint16_t, float score, float) { scores_a.push_back(score); });
    b.for_each([&](uint16_t, uint16_t, float score, float) { scores_b.push_back(score); });
    EXPECT_EQ(scores_a, scores_b);
}

}  // namespace
}  // namespace mcfast::test
