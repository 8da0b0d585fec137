#include "compose/composition.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace mcfast::compose {
namespace {

const kernels::SumsOf<float>& kernel(float) { return kernels::active().sums->singles; }
const kernels::SumsOf<double>& kernel(double) { return kernels::active().sums->doubles; }

template <class T>
void add_row(const T* from, T by, int64_t width, T* to) {
    for (int64_t k = 0; k < width; ++k) to[k] += by * from[k];
}

template <class T>
T dot(const T* a, const T* b, int64_t width) {
    T sum = 0;
    for (int64_t k = 0; k < width; ++k) sum += a[k] * b[k];
    return sum;
}

}  // namespace

template <class T>
Composition<T>::Composition(const Terms& terms, int64_t width, bool unit)
    : terms_(terms), width_(width), unit_(unit), tower_(terms.units, width) {}

template <class T>
void Composition<T>::lay(const int32_t* rows, const uint8_t* dropped, const int32_t* without, int64_t n,
                         Places& places) {
    size_t most = 0, at = 0;  // terms: a sum has no more than a row that shares it
    for (int64_t i = 0; i < n; ++i)
        most += 2 * static_cast<size_t>(terms_.indptr[rows[i] + 1] - terms_.indptr[rows[i]]);
    parameters_.resize(most);
    coefficients_.resize(most);
    const auto add = [&](int32_t parameter, float coefficient) {
        parameters_[at] = parameter;
        coefficients_[at++] = coefficient;
    };
    const auto close_row = [&] { starts_.push_back(static_cast<int64_t>(at)); };
    shares_.clear();
    common_.clear();
    starts_.assign(1, 0);
    common_starts_.assign(1, 0);
    n_ = n;
    for (int64_t first = 0, last; first < n; first = last) {
        last = first + 1;
        while (terms_.histories && last < n && rows[last] == rows[first]) ++last;
        const int64_t begin = terms_.indptr[rows[first]], end = terms_.indptr[rows[first] + 1];
        const int64_t history = terms_.histories ? terms_.histories[rows[first]] : end;
        apart_.clear();
        for (int64_t t = history; t < end; ++t) {
            const int32_t item = terms_.parameters[t] - terms_.first_item;
            const bool left_out = without && std::find(without + first, without + last, item) != without + last;
            (left_out ? apart_ : common_).push_back(t);
        }
        const int64_t alone = common_starts_.back(), shared = static_cast<int64_t>(common_.size()) - alone;
        for (int64_t i = first; i < last; ++i) {
            add(dropped && dropped[i] ? terms_.default_id : terms_.parameters[begin], terms_.coefficients[begin]);
            for (int64_t t = begin + 1; t < history; ++t) add(terms_.parameters[t], terms_.coefficients[t]);
            const auto takes = [&](int64_t t) { return terms_.parameters[t] - terms_.first_item != without[i]; };
            const auto others = shared + std::count_if(apart_.begin(), apart_.end(), takes);
            const double longer = static_cast<double>(end - history) / static_cast<double>(others);
            const float by = others == end - history ? 1 : static_cast<float>(std::pow(longer, terms_.power));
            for (const int64_t t : apart_)
                if (takes(t)) add(terms_.parameters[t], by * terms_.coefficients[t]);
            if (last - first > 1 && shared > 0)
                shares_.push_back({i, n + static_cast<int64_t>(common_starts_.size()) - 1, by});
            else
                for (auto t = common_.begin() + alone; t != common_.end(); ++t)
                    add(terms_.parameters[*t], by * terms_.coefficients[*t]);
            close_row();
        }
        if (last - first > 1 && shared > 0)
            common_starts_.push_back(static_cast<int64_t>(common_.size()));
        else
            common_.resize(static_cast<size_t>(alone));
    }
    for (size_t sum = 1; sum < common_starts_.size(); ++sum) {
        for (int64_t i = common_starts_[sum - 1]; i < common_starts_[sum]; ++i) {
            const int64_t t = common_[static_cast<size_t>(i)];
            add(terms_.parameters[t], terms_.coefficients[t]);
        }
        close_row();
    }
    parameters_.resize(at);
    coefficients_.resize(at);
    turn(places);
}

// Finds which parameters are touched, and brings the terms of those that have several into the order of parameters.
template <class T>
void Composition<T>::turn(Places& places) {
    places.resize(static_cast<size_t>(terms_.n_parameters), -1);
    places_.resize(parameters_.size());
    touched_.clear();
    counts_.clear();
    for (size_t t = 0; t < parameters_.size(); ++t) {
        int32_t& place = places[static_cast<size_t>(parameters_[t])];
        if (place < 0) {
            place = static_cast<int32_t>(touched_.size());
            touched_.push_back(parameters_[t]);
            counts_.push_back(0);
        }
        places_[t] = place;
        ++counts_[static_cast<size_t>(place)];
    }
    for (const int32_t parameter : touched_) places[static_cast<size_t>(parameter)] = -1;
    next_.resize(touched_.size());
    turned_starts_.assign(1, 0);
    for (size_t p = 0; p < touched_.size(); ++p)
        if (counts_[p] > 1) {
            next_[p] = turned_starts_.back();
            turned_starts_.push_back(next_[p] + counts_[p]);
        }
    turned_rows_.resize(static_cast<size_t>(turned_starts_.back()));
    turned_coefficients_.resize(turned_rows_.size());
    alone_.resize(touched_.size());
    for (size_t row = 0; row + 1 < starts_.size(); ++row)
        for (auto t = static_cast<size_t>(starts_[row]); t < static_cast<size_t>(starts_[row + 1]); ++t) {
            const auto p = static_cast<size_t>(places_[t]);
            if (counts_[p] == 1) {
                alone_[p] = {static_cast<int32_t>(row), coefficients_[t]};
            } else {
                const auto at = static_cast<size_t>(next_[p]++);
                turned_rows_[at] = static_cast<int32_t>(row);
                turned_coefficients_[at] = coefficients_[t];
            }
        }
}

template <class T>
void Composition<T>::compose(const T* parameters, T* block) {
    const auto laid = static_cast<int64_t>(starts_.size()) - 1;
    kernel(T{}).gather({laid, width_, starts_.data(), parameters_.data(), coefficients_.data()}, parameters, block);
    for (const Share& share : shares_)
        add_row(block + share.sum * width_, share.by, width_, block + share.row * width_);
    if (terms_.units > 0) {
        weights_ = parameters + (terms_.n_parameters - tower_.rows()) * width_;
        tower_.forward(weights_, n_, block);
    }
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
    if (terms_.units > 0) tower_.backward(weights_, n_, d_block);
    const auto laid = static_cast<int64_t>(starts_.size()) - 1;
    std::fill(d_block + n_ * width_, d_block + laid * width_, T{0});
    for (const Share& share : shares_)
        add_row(d_block + share.row * width_, share.by, width_, d_block + share.sum * width_);
    const auto turned = static_cast<int64_t>(turned_starts_.size()) - 1;
    if (turned > room_) {
        room_ = std::max(turned, 2 * room_);
        gradients_ = Buffer<T>(room_ * width_);
    }
    kernel(T{}).gather({turned, width_, turned_starts_.data(), turned_rows_.data(), turned_coefficients_.data()},
                       d_block, gradients_.data());
    slopes_.resize(counts_.size());
    const T* own = gradients_.data();
    for (size_t p = 0; p < counts_.size(); ++p) {
        if (counts_[p] == 1) {
            slopes_[p] = {alone_[p].coefficient, d_block + alone_[p].row * width_};
        } else {
            slopes_[p] = {1, own};
            own += width_;
        }
    }
    for (int64_t i = 0; i < tower_.rows(); ++i) {
        touched_.push_back(terms_.n_parameters - static_cast<int32_t>(tower_.rows() - i));
        slopes_.push_back({1, tower_.gradient(i)});
    }
}

template class Composition<float>;
template class Composition<double>;

}  // namespace mcfast::compose
