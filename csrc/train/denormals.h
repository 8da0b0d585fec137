// Flush-to-zero while it lives, on the thread that made it: a factor that decays through denormal numbers would slow a
// step by a hundred times, and changes nothing.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mcfast::train {

class FlushDenormals {
public:
    FlushDenormals() : before_(get()) { set(before_ | flush_bits); }
    ~FlushDenormals() { set(before_); }
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;

private:
#if defined(__x86_64__)
    static constexpr uint64_t flush_bits = 0x8040;  // FTZ, DAZ
    static uint64_t get() { return _mm_getcsr(); }
    static void set(uint64_t bits) { _mm_setcsr(static_cast<uint32_t>(bits)); }
#elif defined(__aarch64__)
    static constexpr uint64_t flush_bits = uint64_t{1} << 24;  // FPCR.FZ
    static uint64_t get() {
        uint64_t bits;
        __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
        return bits;
    }
    static void set(uint64_t bits) { __asm__ volatile("msr fpcr, %0" ::"r"(bits)); }
#else
    static constexpr uint64_t flush_bits = 0;
    static uint64_t get() { return 0; }
    static void set(uint64_t) {}
#endif
    uint64_t before_;
};

}  // namespace mcfast::train
