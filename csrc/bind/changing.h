// What every index of changing items has in Python.
#pragma once

#include "bind/bind.h"
#include "recall/changing.h"

namespace mcfast::bind {

using recall::Changes;
using recall::Changing;

inline int64_t add(Changes& changes, const Array<float>& rows, const std::optional<Array<float>>& offsets) {
    const float *from = rows.data(), *own = data_or_null(offsets);
    const int64_t n = rows.shape(0);
    py::gil_scoped_release release;
    return changes.add(from, own, n);
}

inline void put(Changes& changes, const Array<int32_t>& ids, const Array<float>& rows,
                const std::optional<Array<float>>& offsets) {
    const float *from = rows.data(), *own = data_or_null(offsets);
    const int32_t* const which = ids.data();
    const int64_t n = rows.shape(0);
    py::gil_scoped_release release;
    changes.put(which, from, own, n);
}

inline void remove(Changes& changes, const Array<int32_t>& ids) {
    const int32_t* const which = ids.data();
    const int64_t n = ids.shape(0);
    py::gil_scoped_release release;
    changes.remove(which, n);
}

inline py::tuple vectors(const Changes& changes, const Array<int32_t>& ids, int64_t width) {
    Array<float> rows(std::vector<py::ssize_t>{ids.shape(0), width}), offsets(ids.shape(0));
    const int32_t* const which = ids.data();
    float *to = rows.mutable_data(), *own = offsets.mutable_data();
    const int64_t n = ids.shape(0);
    {
        py::gil_scoped_release release;
        changes.vectors(which, n, to, own);
    }
    return py::make_tuple(std::move(rows), std::move(offsets));
}

template <class Index>
void define_changes(py::class_<Changing<Index>>& defined) {
    using Self = Changing<Index>;
    defined.def_property_readonly("size", [](const Self& self) { return self.changes.now()->size; })
        .def_property_readonly("bytes", &Self::bytes)
        .def_property_readonly("changed", [](const Self& self) { return self.changes.now()->changed(); })
        .def_property_readonly("added", [](const Self& self) { return self.changes.now()->added(); })
        .def(
            "add",
            [](Self& self, const Array<float>& rows, const std::optional<Array<float>>& offsets) {
                return add(self.changes, rows, offsets);
            },
            py::arg("rows").noconvert(), py::arg("offsets").noconvert())
        .def(
            "put",
            [](Self& self, const Array<int32_t>& ids, const Array<float>& rows,
               const std::optional<Array<float>>& offsets) { put(self.changes, ids, rows, offsets); },
            py::arg("ids").noconvert(), py::arg("rows").noconvert(), py::arg("offsets").noconvert())
        .def(
            "remove", [](Self& self, const Array<int32_t>& ids) { remove(self.changes, ids); },
            py::arg("ids").noconvert())
        .def(
            "vectors",
            [](const Self& self, const Array<int32_t>& ids) {
                return vectors(self.changes, ids, self.built.items().width);
            },
            py::arg("ids").noconvert())
        .def("put_rows", [](const Self& self) { return to_array(self.changes.put_rows()); })
        .def("removed_rows", [](const Self& self) { return to_array(self.changes.removed_rows()); });
}

}  // namespace mcfast::bind
