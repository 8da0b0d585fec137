#include "bind/bind.h"
#include "kernels/kernels.h"
#include "parallel.h"

namespace mcfast::bind {
namespace {

constexpr int64_t grain = 4096;  // pairs

// A prediction is the canonical score of the pair plus the user's offset, rounded once more.
float predict(const float* user, const float* item, int64_t width, float item_offset, double user_offset) {
    const kernels::ScoreTable& score = *kernels::active().score;
    return static_cast<float>(static_cast<double>(score.score(user, item, width, item_offset)) + user_offset);
}

Array<float> predict_pairs(const Array<float>& user_factors, const Array<float>& item_factors,
                           const Array<double>& user_offsets, const Array<float>& item_offsets,
                           const Array<int32_t>& users, const Array<int32_t>& items, int threads) {
    Array<float> out(users.size());
    const int64_t width = user_factors.shape(1);
    const float *a = user_factors.data(), *b = item_factors.data(), *item_offset = item_offsets.data();
    const double* user_offset = user_offsets.data();
    const int32_t *u = users.data(), *i = items.data();
    float* const to = out.mutable_data();
    const int64_t n = users.size();
    py::gil_scoped_release release;
    parallel::chunks(threads, n, grain, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t x = begin; x < end; ++x)
            to[x] = predict(a + u[x] * width, b + i[x] * width, width, item_offset[i[x]], user_offset[u[x]]);
    });
    return out;
}

Array<float> predict_block(const Array<float>& user_factors, const Array<float>& item_factors,
                           const Array<double>& user_offsets, const Array<float>& item_offsets, int threads) {
    const int64_t n = user_factors.shape(0), m = item_factors.shape(0), width = user_factors.shape(1);
    Array<float> out(std::vector<py::ssize_t>{n, m});
    const float *a = user_factors.data(), *b = item_factors.data(), *item_offset = item_offsets.data();
    const double* user_offset = user_offsets.data();
    float* const to = out.mutable_data();
    py::gil_scoped_release release;
    parallel::chunks(threads, n, 16, [&](int64_t, int64_t begin, int64_t end) {
        for (int64_t u = begin; u < end; ++u)
            for (int64_t i = 0; i < m; ++i)
                to[u * m + i] = predict(a + u * width, b + i * width, width, item_offset[i], user_offset[u]);
    });
    return out;
}

}  // namespace

void register_score(py::module_& m) {
    m.def("predict_pairs", predict_pairs, py::arg("user_factors").noconvert(), py::arg("item_factors").noconvert(),
          py::arg("user_offsets").noconvert(), py::arg("item_offsets").noconvert(), py::arg("users").noconvert(),
          py::arg("items").noconvert(), py::arg("threads"));
    m.def("predict_block", predict_block, py::arg("user_factors").noconvert(), py::arg("item_factors").noconvert(),
          py::arg("user_offsets").noconvert(), py::arg("item_offsets").noconvert(), py::arg("threads"));
}

}  // namespace mcfast::bind
