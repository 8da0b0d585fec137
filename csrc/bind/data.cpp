#include "bind/bind.h"
#include "data/encode.h"
#include "data/finite.h"
#include "data/pairs.h"
#include "data/where.h"

namespace mcfast::bind {
namespace {

template <class T>
py::tuple encode(const std::vector<Array<T>>& chunks, int threads) {
    std::vector<data::Span<T>> spans;
    py::ssize_t total = 0;
    for (const Array<T>& chunk : chunks) {
        spans.push_back({chunk.data(), chunk.size()});
        total += chunk.size();
    }
    Array<int32_t> rows(total);
    int32_t* const to = rows.mutable_data();
    std::vector<int64_t> ids;
    {
        py::gil_scoped_release release;
        ids = data::encode(spans, to, threads);
    }
    return py::make_tuple(std::move(rows), to_array(std::move(ids)));
}

bool finite(const Array<float>& values, int threads) {
    const float* const from = values.data();
    const int64_t n = values.size();
    py::gil_scoped_release release;
    return data::finite(from, n, threads);
}

py::tuple first_of_pair(const Array<int32_t>& users, const Array<int32_t>& items, int32_t n_users, int32_t n_items,
                        int threads) {
    std::vector<int64_t> first;
    int64_t repeated = 0;
    {
        py::gil_scoped_release release;
        repeated = data::first_of_pair(users.data(), items.data(), users.size(), n_users, n_items, first, threads);
    }
    return py::make_tuple(repeated, to_array(std::move(first)));
}

py::tuple items_of_users(const Array<int32_t>& users, const Array<int32_t>& items, int32_t n_users, int threads) {
    data::Csr csr;
    {
        py::gil_scoped_release release;
        csr = data::items_of_users(users.data(), items.data(), users.size(), n_users, threads);
    }
    return py::make_tuple(to_array(std::move(csr.indptr)), to_array(std::move(csr.rows)));
}

Array<uint8_t> where(const Array<int32_t>& codes, const std::optional<Array<int64_t>>& indptr,
                     const Array<uint8_t>& chosen) {
    const int64_t* const ends = data_or_null(indptr);
    const int64_t n = indptr ? indptr->size() - 1 : codes.size();
    Array<uint8_t> out(n);
    uint8_t* const to = out.mutable_data();
    {
        py::gil_scoped_release release;
        data::where(codes.data(), ends, n, chosen.data(), to);
    }
    return out;
}

}  // namespace

void register_data(py::module_& m) {
    m.def("encode", encode<int64_t>, py::arg("chunks").noconvert(), py::arg("threads"));
    m.def("encode", encode<int32_t>, py::arg("chunks").noconvert(), py::arg("threads"));
    m.def("finite", finite, py::arg("values").noconvert(), py::arg("threads"));
    m.def("first_of_pair", first_of_pair, py::arg("users").noconvert(), py::arg("items").noconvert(),
          py::arg("n_users"), py::arg("n_items"), py::arg("threads"));
    m.def("where", where, py::arg("codes").noconvert(), py::arg("indptr").noconvert(), py::arg("chosen").noconvert());
    m.def("items_of_users", items_of_users, py::arg("users").noconvert(), py::arg("items").noconvert(),
          py::arg("n_users"), py::arg("threads"));
}

}  // namespace mcfast::bind
