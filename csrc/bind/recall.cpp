#include "bind/bind.h"
#include "recall/exact.h"

namespace mcfast::bind {
namespace {

py::tuple search(const recall::Exact& index, const Array<float>& queries, int64_t k,
                 const std::optional<Array<int64_t>>& exclude_indptr, const std::optional<Array<int32_t>>& exclude_rows,
                 const std::optional<Array<uint8_t>>& allow, int threads) {
    const int64_t n = queries.shape(0);
    Array<int64_t> rows(std::vector<py::ssize_t>{n, k}), counts(n);
    Array<float> scores(std::vector<py::ssize_t>{n, k});
    const recall::Filter filter{data_or_null(exclude_indptr), data_or_null(exclude_rows), data_or_null(allow)};
    int64_t *to_rows = rows.mutable_data(), *to_counts = counts.mutable_data();
    float* to_scores = scores.mutable_data();
    {
        py::gil_scoped_release release;
        index.search(queries.data(), n, k, filter, threads, to_rows, to_scores, to_counts);
    }
    return py::make_tuple(std::move(rows), std::move(scores), std::move(counts));
}

std::unique_ptr<recall::Exact> build(const Array<float>& rows, const std::optional<Array<float>>& offsets,
                                     int threads) {
    const float *from = rows.data(), *item_offsets = data_or_null(offsets);
    const int64_t n = rows.shape(0), width = rows.shape(1);
    py::gil_scoped_release release;
    return std::make_unique<recall::Exact>(from, n, width, item_offsets, threads);
}

}  // namespace

void register_recall(py::module_& m) {
    py::class_<recall::Exact>(m, "Exact")
        .def(py::init(&build), py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("threads"),
             py::keep_alive<1, 2>(), py::keep_alive<1, 3>())
        .def_property_readonly("size", &recall::Exact::size)
        .def("search", search, py::arg("queries").noconvert(), py::arg("k"), py::arg("exclude_indptr").noconvert(),
             py::arg("exclude_rows").noconvert(), py::arg("allow").noconvert(), py::arg("threads"));
}

}  // namespace mcfast::bind
