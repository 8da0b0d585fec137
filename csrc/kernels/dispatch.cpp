// One choice of an instruction set for the process, made at the first use.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "sets.h"

namespace mcfast::kernels {

#define MCFAST_DECLARE(symbol, name, test)  \
    extern const ScoreTable score_##symbol; \
    extern const ScanTable scan_##symbol;   \
    extern const SgdTable sgd_##symbol;     \
    extern const SumsTable sums_##symbol;   \
    extern const TileTable tile_##symbol;
MCFAST_SETS(MCFAST_DECLARE)
#undef MCFAST_DECLARE

namespace {

#define MCFAST_ENTRY(symbol, name, test)                                                        \
    {name, &score_##symbol, &scan_##symbol, &sgd_##symbol, &sums_##symbol, &tile_##symbol, [] { \
         return static_cast<bool>(test);                                                        \
     }},
const Set all[] = {MCFAST_SETS(MCFAST_ENTRY)};
#undef MCFAST_ENTRY
constexpr int n_sets = sizeof all / sizeof *all;

std::atomic<const Set*> chosen{nullptr};

const Set* named(const char* name, const char* what) {
    const Set* set = find(name);
    if (set && set->supported()) return set;
    std::string message = std::string(what) + ": got '" + name + "', expected what this machine has: ";
    for (const Set& other : all)
        if (other.supported()) message += std::string(&other == all ? "'" : ", '") + other.name + "'";
    throw std::invalid_argument(message);
}

}  // namespace

const Set* sets(int* count) {
    *count = n_sets;
    return all;
}

const Set* find(const char* name) {
    for (const Set& set : all)
        if (std::strcmp(set.name, name) == 0) return &set;
    return nullptr;
}

const Set& active() {
    const Set* set = chosen.load(std::memory_order_acquire);
    if (!set) {
        const char* forced = std::getenv("MCFAST_ISA");
        if (forced && *forced) {
            set = named(forced, "MCFAST_ISA");
        } else {
            for (const Set& candidate : all)
                if (candidate.supported()) set = &candidate;
        }
        chosen.store(set, std::memory_order_release);
    }
    return *set;
}

void use(const char* name) { chosen.store(named(name, "instruction set"), std::memory_order_release); }

}  // namespace mcfast::kernels
