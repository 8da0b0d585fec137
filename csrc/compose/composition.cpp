#include "compose/composition.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace mcfast::compose {
namespace {

const kernels::SumsOf<float>& kernel(float) { return kernels::active().sums->singles; }
const kernels::SumsOf<double>& kernel(double) { return kernels::active().sums->doubles; }

template <class T>
T dot(const T* a, const T* b, int64_t width) {
    T sum = 0;
    for (int64_t k = 0; k < width; ++k) sum += a[k] * b[k];
    return sum;
}

}  // namespace

template <class T>
Composition<T>::Composition(const Terms& terms, int64_t width, bool unit) : terms_(terms), width_(width), unit_(unit) {}

template <class T>
void Composition<T>::lay(const int32_t* rows, const uint8_t* dropped, const int32_t* without, int64_t n,
                         Places& places) {
    places.resize(static_cast<size_t>(terms_.n_parameters), -1);
    touched_.clear();
    parameters_.clear();
    places_.clear();
    coefficients_.clear();
    starts_.assign(1, 0);
    n_ = n;
    const auto add = [&](int32_t parameter, float coefficient) {
        int32_t& place = places[static_cast<size_t>(parameter)];
        if (place < 0) {
            place = static_cast<int32_t>(touched_.size());
            touched_.push_back(parameter);
        }
        parameters_.push_back(parameter);
        places_.push_back(place);
        coefficients_.push_back(coefficient);
    };
    for (int64_t i = 0; i < n; ++i) {
        const int64_t first = terms_.indptr[rows[i]], last = terms_.indptr[rows[i] + 1];
        const int64_t history = terms_.histories ? terms_.histories[rows[i]] : last;
        add(dropped && dropped[i] ? terms_.default_id : terms_.parameters[first], terms_.coefficients[first]);
        for (int64_t t = first + 1; t < history; ++t) add(terms_.parameters[t], terms_.coefficients[t]);
        const int32_t left_out = without ? terms_.first_item + without[i] : -1;
        const int64_t size = last - history;
        const int64_t others = size - std::count(terms_.parameters + history, terms_.parameters + last, left_out);
        const float by =
            others == size
                ? 1
                : static_cast<float>(std::pow(static_cast<double>(size) / static_cast<double>(others), terms_.power));
        for (int64_t t = history; t < last; ++t)
            if (terms_.parameters[t] != left_out) add(terms_.parameters[t], by * terms_.coefficients[t]);
        starts_.push_back(static_cast<int64_t>(parameters_.size()));
    }
    for (const int32_t parameter : touched_) places[static_cast<size_t>(parameter)] = -1;
}

template <class T>
void Composition<T>::compose(const T* parameters, T* block) {
    kernel(T{}).gather({n_, width_, starts_.data(), parameters_.data(), coefficients_.data()}, parameters, block);
    if (!unit_) return;
    lengths_.resize(static_cast<size_t>(n_));
    for (int64_t i = 0; i < n_; ++i, block += width_) {
        const T length = std::sqrt(dot(block, block, width_));
        lengths_[static_cast<size_t>(i)] = length;
        const T scale = length > 0 ? 1 / length : 0;
        for (int64_t k = 0; k < width_; ++k) block[k] *= scale;
    }
}

template <class T>
void Composition<T>::backward(const T* block, T* d_block) {
    if (unit_) {  // y = x / |x|: dx = (dy - <dy, y> y) / |x|
        for (int64_t i = 0; i < n_; ++i) {
            const T* const y = block + i * width_;
            T* const d = d_block + i * width_;
            const T along = dot(d, y, width_), length = lengths_[static_cast<size_t>(i)];
            const T scale = length > 0 ? 1 / length : 0;
            for (int64_t k = 0; k < width_; ++k) d[k] = (d[k] - along * y[k]) * scale;
        }
    }
    if (touched() > room_) {
        room_ = std::max(touched(), 2 * room_);
        gradients_ = Buffer<T>(room_ * width_);
    }
    std::fill_n(gradients_.data(), touched() * width_, T{0});
    kernel(T{}).scatter({n_, width_, starts_.data(), places_.data(), coefficients_.data()}, d_block, gradients_.data());
}

template class Composition<float>;
template class Composition<double>;

}  // namespace mcfast::compose
