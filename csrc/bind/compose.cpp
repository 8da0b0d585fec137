#include <algorithm>
#include <string>

#include "bind/bind.h"
#include "compose/composition.h"
#include "parallel.h"

namespace mcfast::bind {
namespace {

using compose::Composition;
using compose::Terms;

constexpr int64_t grain = 1024;  // rows composed at a time

Terms terms(const Array<int64_t>& indptr, const Array<int32_t>& parameters, const Array<float>& coefficients,
            int64_t n_parameters, int32_t default_id, int32_t units) {
    Terms out{indptr.data(), parameters.data(), coefficients.data(), static_cast<int32_t>(n_parameters), default_id};
    out.units = units;
    return out;
}

// A copy whose rows are aligned as the kernels want them.
template <class T>
Buffer<T> aligned(const Array<T>& array) {
    Buffer<T> out(array.size());
    std::copy_n(array.data(), array.size(), out.data());
    return out;
}

template <class T>
Array<T> compose_rows(const Array<int64_t>& indptr, const Array<int32_t>& parameters, const Array<float>& coefficients,
                      int32_t default_id, const Array<T>& table, const Array<int32_t>& rows,
                      const std::optional<Array<uint8_t>>& dropped, bool unit, int32_t units, int threads) {
    const int64_t width = table.shape(1), n = rows.size();
    const Terms all = terms(indptr, parameters, coefficients, table.shape(0), default_id, units);
    Array<T> out({static_cast<py::ssize_t>(n), static_cast<py::ssize_t>(width)});
    T* const to = out.mutable_data();
    const int32_t* const chosen = rows.data();
    const uint8_t* const drops = data_or_null(dropped);
    py::gil_scoped_release release;
    const T* from = table.data();
    Buffer<T> copy;
    if (reinterpret_cast<uintptr_t>(from) % 64 != 0) from = (copy = aligned(table)).data();
    parallel::chunks(threads, n, grain, [&](int64_t, int64_t begin, int64_t end) {
        Composition<T> composition(all, width, unit);
        Buffer<T> block((end - begin) * width);
        compose::Places places;
        composition.lay(chosen + begin, drops ? drops + begin : nullptr, nullptr, end - begin, places);
        composition.compose(from, block.data());
        std::copy_n(block.data(), (end - begin) * width, to + begin * width);
    });
    return out;
}

// The parameters that the rows touch, and the gradients of a sum of d_block * block by them.
template <class T>
py::tuple compose_gradients(const Array<int64_t>& indptr, const Array<int32_t>& parameters,
                            const Array<float>& coefficients, int32_t default_id, const Array<T>& table,
                            const Array<int32_t>& rows, const std::optional<Array<uint8_t>>& dropped, bool unit,
                            int32_t units, const Array<T>& d_block) {
    const int64_t width = table.shape(1), n = rows.size();
    Composition<T> composition(terms(indptr, parameters, coefficients, table.shape(0), default_id, units), width, unit);
    const Buffer<T> copy = aligned(table);
    Buffer<T> block(n * width), gradients = aligned(d_block);
    compose::Places places;
    composition.lay(rows.data(), data_or_null(dropped), nullptr, n, places);
    composition.compose(copy.data(), block.data());
    composition.backward(block.data(), gradients.data());
    Array<int32_t> touched(composition.touched());
    Array<T> out({static_cast<py::ssize_t>(composition.touched()), static_cast<py::ssize_t>(width)});
    for (int64_t i = 0; i < composition.touched(); ++i) {
        touched.mutable_at(i) = composition.parameter(i);
        const auto [by, vector] = composition.slope(i);
        for (int64_t k = 0; k < width; ++k) out.mutable_data()[i * width + k] = by * vector[k];
    }
    return py::make_tuple(touched, out);
}

template <class T>
void register_for(py::module_& m, const std::string& suffix) {
    m.def(("compose_rows" + suffix).c_str(), compose_rows<T>, py::arg("indptr").noconvert(),
          py::arg("parameters").noconvert(), py::arg("coefficients").noconvert(), py::arg("default_id"),
          py::arg("table").noconvert(), py::arg("rows").noconvert(), py::arg("dropped").noconvert().none(true),
          py::arg("unit"), py::arg("units"), py::arg("threads"));
    m.def(("compose_gradients" + suffix).c_str(), compose_gradients<T>, py::arg("indptr").noconvert(),
          py::arg("parameters").noconvert(), py::arg("coefficients").noconvert(), py::arg("default_id"),
          py::arg("table").noconvert(), py::arg("rows").noconvert(), py::arg("dropped").noconvert().none(true),
          py::arg("unit"), py::arg("units"), py::arg("d_block").noconvert());
}

}  // namespace

void register_compose(py::module_& m) {
    register_for<float>(m, "");
    register_for<double>(m, "_f64");  // for tests: gradients against differences
}

}  // namespace mcfast::bind
