// One register_* function a concept, and the few conversions they share. Arguments come checked from Python: here dtype
// and layout are only insisted on (noconvert), never repaired.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace mcfast::bind {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

void register_build(py::module_& m);
void register_compose(py::module_& m);
void register_data(py::module_& m);
void register_evaluate(py::module_& m);
void register_rank(py::module_& m);
void register_recall(py::module_& m);
void register_score(py::module_& m);
void register_train(py::module_& m);

// Hands a vector's memory to NumPy.
template <class T>
Array<T> to_array(std::vector<T>&& values) {
    auto owner = std::make_unique<std::vector<T>>(std::move(values));
    const auto size = static_cast<py::ssize_t>(owner->size());
    T* const data = owner->data();
    py::capsule capsule(owner.get(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
    owner.release();
    return Array<T>(size, data, capsule);
}

template <class T>
const T* data_or_null(const std::optional<Array<T>>& array) {
    return array ? array->data() : nullptr;
}

// An epoch of a trainer. `progress` gets the number of triples done up to ten times a second; signals are looked at as
// often, so that Ctrl-C need not wait for the end of an epoch.
template <class Trainer>
double epoch(Trainer& trainer, uint32_t number, float learning_rate, int threads, const py::object& progress) {
    py::gil_scoped_release release;
    return trainer.epoch(number, learning_rate, threads, [&](int64_t done) {
        py::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (!progress.is_none()) progress(done);
    });
}

}  // namespace mcfast::bind
