// Weighted sums of rows of a table.
#include "simd.h"

namespace mcfast::kernels::MCFAST_SET_NAMESPACE {
namespace {

template <class T>
struct Vector;
template <>
struct Vector<float> {
    typedef vf type;
};
template <>
struct Vector<double> {
    typedef double type __attribute__((vector_size(sizeof(vf)), may_alias));
};

// out[k..] = the sum of V vectors a term.
template <class T, int V>
inline void sum(const Sums& s, int64_t first, int64_t last, const T* table, T* out) {
    typedef typename Vector<T>::type vector;
    constexpr int64_t n = sizeof(vector) / sizeof(T);
    vector total[V] = {};
    for (int64_t t = first; t < last; ++t) {
        const T* const row = table + s.rows[t] * s.width;
        const T by = s.coefficients[t];
        for (int v = 0; v < V; ++v) total[v] += by * *reinterpret_cast<const vector*>(row + v * n);
    }
    for (int v = 0; v < V; ++v) *reinterpret_cast<vector*>(out + v * n) = total[v];
}

template <class T>
void gather(const Sums& s, const T* table, T* out) {
    constexpr int64_t n = sizeof(typename Vector<T>::type) / sizeof(T);
    for (int64_t i = 0; i < s.n; ++i, out += s.width) {
        int64_t k = 0;
        for (; k + 8 * n <= s.width; k += 8 * n) sum<T, 8>(s, s.starts[i], s.starts[i + 1], table + k, out + k);
        for (; k + 4 * n <= s.width; k += 4 * n) sum<T, 4>(s, s.starts[i], s.starts[i + 1], table + k, out + k);
        for (; k < s.width; k += n) sum<T, 1>(s, s.starts[i], s.starts[i + 1], table + k, out + k);
    }
}

}  // namespace
}  // namespace mcfast::kernels::MCFAST_SET_NAMESPACE

namespace mcfast::kernels {
extern const SumsTable MCFAST_TABLE(sums);
const SumsTable MCFAST_TABLE(sums) = {{MCFAST_SET_NAMESPACE::gather<float>}, {MCFAST_SET_NAMESPACE::gather<double>}};
}  // namespace mcfast::kernels
