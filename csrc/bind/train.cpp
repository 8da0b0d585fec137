#include <array>

#include "bind/bind.h"
#include "train/trainer.h"

namespace mcfast::bind {
namespace {

using train::Trainer;

train::Triples triples(const Array<int32_t>& users, const Array<int32_t>& items, const Array<float>& scores,
                       int32_t n_users, int32_t n_items) {
    return {users.data(), items.data(), scores.data(), users.size(), n_users, n_items};
}

kernels::Loss loss_named(const std::string& name) {
#define MCFAST_LOSS_NAME(id, type, scores) \
    if (name == #id) return kernels::Loss::id;
    MCFAST_LOSSES(MCFAST_LOSS_NAME)
#undef MCFAST_LOSS_NAME
    throw py::value_error("loss: unknown name '" + name + "'");
}

// l2 is of users, items and biases, l1 of users and items.
std::unique_ptr<Trainer> make(const Array<int32_t>& users, const Array<int32_t>& items, const Array<float>& scores,
                              const std::optional<Array<float>>& weights, int32_t n_users, int32_t n_items,
                              int64_t factors, bool biases, const std::string& loss, std::array<float, 3> l2,
                              std::array<float, 2> l1, bool by_row, bool nonnegative, uint64_t seed,
                              std::pair<int64_t, int64_t> blocks, int threads) {
    train::Triples data = triples(users, items, scores, n_users, n_items);
    data.weights = data_or_null(weights);
    train::Options options;
    options.factors = factors;
    options.biases = biases;
    options.loss = loss_named(loss);
    options.user_l2 = l2[0];
    options.item_l2 = l2[1];
    options.bias_l2 = l2[2];
    options.user_l1 = l1[0];
    options.item_l1 = l1[1];
    options.by_row = by_row;
    options.nonnegative = nonnegative;
    options.seed = seed;
    options.blocks = {blocks.first, blocks.second};
    options.threads = threads;
    py::gil_scoped_release release;
    return std::make_unique<Trainer>(data, options);
}

template <double (Trainer::*measure)(const train::Triples&, int) const>
double over(const Trainer& trainer, const Array<int32_t>& users, const Array<int32_t>& items,
            const Array<float>& scores, int threads) {
    const train::Triples data = triples(users, items, scores, 0, 0);
    py::gil_scoped_release release;
    return (trainer.*measure)(data, threads);
}

template <void (Trainer::*import)(const int32_t*, int64_t, const float*, int64_t, const float*)>
void import_rows(Trainer& trainer, const Array<int32_t>& rows, const Array<float>& factors,
                 const std::optional<Array<float>>& biases) {
    (trainer.*import)(rows.data(), rows.size(), factors.data(), factors.shape(1), data_or_null(biases));
}

template <void (Trainer::*to_rows)(train::Rows, int) const>
void export_rows(const Trainer& trainer, Array<float>& factors, Array<float>& biases, int threads) {
    const train::Rows to{factors.mutable_data(), biases.mutable_data()};
    py::gil_scoped_release release;
    (trainer.*to_rows)(to, threads);
}

}  // namespace

void register_train(py::module_& m) {
    // What the scores are, by loss.
    py::dict losses;
#define MCFAST_LOSS_NAME(id, type, scores) losses[#id] = #scores;
    MCFAST_LOSSES(MCFAST_LOSS_NAME)
#undef MCFAST_LOSS_NAME
    m.attr("losses") = losses;

    py::class_<Trainer>(m, "Trainer")
        .def(py::init(&make), py::arg("users").noconvert(), py::arg("items").noconvert(), py::arg("scores").noconvert(),
             py::arg("weights").noconvert(), py::arg("n_users"), py::arg("n_items"), py::arg("factors"),
             py::arg("biases"), py::arg("loss"), py::arg("l2"), py::arg("l1"), py::arg("by_row"),
             py::arg("nonnegative"), py::arg("seed"), py::arg("blocks"), py::arg("threads"))
        .def("epoch", epoch<Trainer>, py::arg("number"), py::arg("learning_rate"), py::arg("threads"),
             py::arg("progress"))
        .def("checkpoint", &Trainer::checkpoint, py::arg("threads"), py::call_guard<py::gil_scoped_release>())
        .def("restore", &Trainer::restore, py::arg("threads"), py::call_guard<py::gil_scoped_release>())
        .def("drop_checkpoint", &Trainer::drop_checkpoint)
        .def("squared_error", over<&Trainer::squared_error>, py::arg("users").noconvert(), py::arg("items").noconvert(),
             py::arg("scores").noconvert(), py::arg("threads"))
        .def("loss", over<&Trainer::loss>, py::arg("users").noconvert(), py::arg("items").noconvert(),
             py::arg("scores").noconvert(), py::arg("threads"))
        .def("import_users", import_rows<&Trainer::import_users>, py::arg("rows").noconvert(),
             py::arg("factors").noconvert(), py::arg("biases").noconvert())
        .def("import_items", import_rows<&Trainer::import_items>, py::arg("rows").noconvert(),
             py::arg("factors").noconvert(), py::arg("biases").noconvert())
        .def("export_users", export_rows<&Trainer::export_users>, py::arg("factors").noconvert(),
             py::arg("biases").noconvert(), py::arg("threads"))
        .def("export_items", export_rows<&Trainer::export_items>, py::arg("factors").noconvert(),
             py::arg("biases").noconvert(), py::arg("threads"))
        .def_property_readonly("mean", &Trainer::mean)
        .def_property_readonly("n_users", [](const Trainer& t) { return t.grid().users().position.size(); })
        .def_property_readonly("n_items", [](const Trainer& t) { return t.grid().items().position.size(); })
        .def_property_readonly("width", &Trainer::width)
        .def_property_readonly("scale", &Trainer::scale)
        .def_property_readonly("repeated", [](const Trainer& t) { return t.grid().repeated(); })
        .def_property_readonly("blocks", [](const Trainer& t) {
            return std::make_pair(t.grid().users().stripes(), t.grid().items().stripes());
        });
}

}  // namespace mcfast::bind
