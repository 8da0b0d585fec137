#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "support.h"

namespace mcfast::test {
namespace {

TEST(Dispatch, EverySetOfThisMachineCanBeChosen) {
    const auto sets = supported_sets();
    ASSERT_FALSE(sets.empty());
    EXPECT_STREQ(sets.front()->name, "base");
    for (const kernels::Set* set : sets) {
        const UseSet use(set);
        EXPECT_EQ(&kernels::active(), set);
        EXPECT_EQ(kernels::find(set->name), set);
    }
}

TEST(Dispatch, UnknownSetIsNamedBesideThoseThatExist) {
    const kernels::Set& before = kernels::active();
    EXPECT_EQ(kernels::find("x86-64-v9"), nullptr);
    try {
        kernels::use("x86-64-v9");
        FAIL() << "an unknown set was taken";
    } catch (const std::invalid_argument& error) {
        EXPECT_NE(std::string(error.what()).find("x86-64-v9"), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("'base'"), std::string::npos) << error.what();
    }
    EXPECT_EQ(&kernels::active(), &before);
}

TEST(Dispatch, SetThatThisMachineLacksIsRefused) {
    int count = 0;
    const kernels::Set* const all = kernels::sets(&count);
    int lacking = 0;
    for (int i = 0; i < count; ++i) {
        if (all[i].supported()) continue;
        ++lacking;
        EXPECT_THROW(kernels::use(all[i].name), std::invalid_argument) << all[i].name;
    }
    if (lacking == 0) GTEST_SKIP() << "this machine has every set";
}

}  // namespace
}  // namespace mcfast::test
