// Rows that are sums of parameter rows: of an id, of the values of attributes, of the weights of numbers.
//
// One table of parameters holds all of a side: a row an id, then the default id, then a row a value of an attribute,
// then a row a numeric attribute, then a row an item that may be in a history, then the weights of a tower. Row r of
// the side is x_r = sum of coefficient * parameter over its terms, the id first (coefficient 1), then the values
// (shares that add up to 1: their mean), then the numbers (themselves), then the history; what the tower, if there is
// one, makes of that; and x / |x| where rows are to be of unit length. Where the id is dropped, the default id stands
// in its place, which also serves rows that have no id of their own.
//
// Training composes the rows of a tile once, and takes the gradients of what it composed back to the parameters:
//
//     composition.lay(rows, dropped, without, n, places);  // the terms of the rows, and which parameters they touch
//     composition.compose(parameters, block);              // block: n x width, and room, see lay()
//     ... d_block, the gradient of the loss by block ...
//     composition.backward(block, d_block);                // d_block is overwritten
//     for (int64_t i = 0; i < composition.touched(); ++i)
//         ... composition.parameter(i), composition.slope(i) ...
//
// Neighbours that are the same row of the side share the sum of what all of them take of its history, which then is
// added up once and gets one gradient; what some of them leave out, the others add by themselves. Nothing is added to
// be taken out again: where a gradient is 0, it is exactly that, as adaptive steps want it.
//
// Gradients are added in the order of rows and terms, parameters come in the order in which they are first touched:
// the same whoever computes the tile. A parameter with one term has the gradient of its row, without a copy, so slopes
// stay until the next lay() or until d_block is gone. A Composition is for one thread at a time; those of several tiles
// share the terms.
#pragma once

#include <cstdint>
#include <vector>

#include "compose/tower.h"
#include "memory.h"

namespace mcfast::compose {

// The terms of all rows of a side, as in CSR. The first term of a row is its id.
struct Terms {
    const int64_t* indptr;
    const int32_t* parameters;
    const float* coefficients;
    int32_t n_parameters;
    int32_t default_id;  // the parameter that stands in for a dropped id
    // Where in its terms the history of a row begins, null where there are none; the parameter of item 0 in it; and the
    // coefficients are (items of the history) ^ -power.
    const int64_t* histories = nullptr;
    int32_t first_item = 0;
    double power = 1;
    int32_t units = 0;  // of the tower; 0: none
};

// What a thread needs to lay rows: the place of each parameter among those touched, -1 between two calls.
using Places = std::vector<int32_t>;

// The gradient by a parameter: `by` times `vector`.
template <class T>
struct Slope {
    T by;
    const T* vector;
};

template <class T>
class Composition {
public:
    Composition(const Terms& terms, int64_t width, bool unit);

    // `dropped`: 1 where the default id takes the place of the row's own; null: nowhere. `without`: an item for each
    // row that its history is taken without, so that it is not told what it is to find; null: none. Where there are
    // histories, blocks have room for n / 2 rows more, the shared sums.
    void lay(const int32_t* rows, const uint8_t* dropped, const int32_t* without, int64_t n, Places& places);
    void compose(const T* parameters, T* block);
    void backward(const T* block, T* d_block);

    // The tower's weights are among them once backward() was called.
    int64_t touched() const { return static_cast<int64_t>(touched_.size()); }
    int32_t parameter(int64_t i) const { return touched_[static_cast<size_t>(i)]; }
    Slope<T> slope(int64_t i) const { return slopes_[static_cast<size_t>(i)]; }

private:
    // Row `row` takes `by` times the sum that is row `sum` of the block.
    struct Share {
        int64_t row, sum;
        T by;
    };
    void turn(Places& places);

    Terms terms_;
    int64_t width_;
    bool unit_;
    int64_t n_ = 0;
    std::vector<int64_t> starts_;               // of the rows laid, then of the sums that they share
    std::vector<int32_t> parameters_, places_;  // of their terms; places among those touched
    std::vector<float> coefficients_;
    std::vector<Share> shares_;
    std::vector<int64_t> apart_, common_, common_starts_;  // terms of histories that some leave out, and that all share
    std::vector<int32_t> touched_;
    std::vector<T> lengths_;       // |x| of the rows composed
    std::vector<int32_t> counts_;  // terms of the parameters touched
    struct Alone {
        int32_t row;
        float coefficient;
    };
    std::vector<Alone> alone_;  // the term of those that have one; of the others all, by parameter
    std::vector<int64_t> next_, turned_starts_;
    std::vector<int32_t> turned_rows_;
    std::vector<float> turned_coefficients_;
    std::vector<Slope<T>> slopes_;
    Tower<T> tower_;
    const T* weights_ = nullptr;  // of the tower, since compose()
    Buffer<T> gradients_;
    int64_t room_ = 0;  // rows that gradients_ holds
};

extern template class Composition<float>;
extern template class Composition<double>;

}  // namespace mcfast::compose
