// Aligned memory: large arrays on huge pages, nothing initialised before its first use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#ifdef __linux__
#include <malloc.h>
#include <sys/mman.h>
#endif

namespace mcfast {

// Gives back what was freed in small pieces, which malloc keeps for each thread.
inline void trim() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

// A fixed array of plain values, not initialised: whoever writes first, in parallel, places the pages.
template <class T>
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(int64_t size) : size_(size) {
        constexpr size_t huge = size_t{2} << 20;
        const size_t bytes = static_cast<size_t>(size) * sizeof(T);
        const size_t alignment = bytes >= huge ? huge : 64;
        const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
        data_ = static_cast<T*>(std::aligned_alloc(alignment, rounded ? rounded : alignment));
        if (!data_) throw std::bad_alloc();
#ifdef __linux__
        if (bytes >= huge) madvise(data_, rounded, MADV_HUGEPAGE);
#endif
    }
    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Buffer() { std::free(data_); }

    T* data() { return data_; }
    const T* data() const { return data_; }
    int64_t size() const { return size_; }
    T& operator[](int64_t i) { return data_[i]; }
    const T& operator[](int64_t i) const { return data_[i]; }
    T* begin() { return data_; }
    T* end() { return data_ + size_; }
    const T* begin() const { return data_; }
    const T* end() const { return data_ + size_; }

private:
    T* data_ = nullptr;
    int64_t size_ = 0;
};

}  // namespace mcfast
