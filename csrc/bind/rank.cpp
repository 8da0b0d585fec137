#include "bind/bind.h"
#include "rank/trainer.h"

namespace mcfast::bind {
namespace {

using rank::Trainer;

kernels::RankingLoss loss_named(const std::string& name) {
#define MCFAST_LOSS_NAME(id, text, type) \
    if (name == text) return kernels::RankingLoss::id;
    MCFAST_RANKING_LOSSES(MCFAST_LOSS_NAME)
#undef MCFAST_LOSS_NAME
    throw py::value_error("loss: unknown name '" + name + "'");
}

rank::Source source_named(const std::string& name) {
    if (name == "uniform") return rank::Source::uniform;
    if (name == "popularity") return rank::Source::popularity;
    if (name == "in-batch") return rank::Source::in_batch;
    if (name == "all") return rank::Source::all;
    if (name == "hard") return rank::Source::hard;
    throw py::value_error("negatives: unknown name '" + name + "'");
}

// `negatives` has pairs of source and number, `given` users and items that are hard for them.
std::unique_ptr<Trainer> make(const Array<int32_t>& users, const Array<int32_t>& items, int32_t n_users,
                              int32_t n_items, int64_t factors, const std::string& loss, float margin,
                              float negative_weight, bool cosine, double temperature, bool learn_temperature,
                              std::pair<float, float> l2, double dropout, double subsampling, bool hide_known,
                              const std::vector<std::pair<std::string, int64_t>>& negatives,
                              const std::optional<std::pair<Array<int32_t>, Array<int32_t>>>& given, int64_t pool,
                              double exponent, double logq, bool corrected, const std::string& optimizer, int64_t batch,
                              uint64_t seed, int threads) {
    rank::Options options;
    options.factors = factors;
    options.loss = loss_named(loss);
    options.parameters = {margin, negative_weight};
    options.cosine = cosine;
    options.temperature = temperature;
    options.learn_temperature = learn_temperature;
    options.user_l2 = l2.first;
    options.item_l2 = l2.second;
    options.dropout = dropout;
    options.subsampling = subsampling;
    options.hide_known = hide_known;
    for (const auto& [name, n] : negatives) options.negatives.parts.push_back({source_named(name), n});
    options.pool = pool;
    options.negatives.exponent = exponent;
    options.negatives.logq = logq;
    options.negatives.corrected = corrected;
    options.optimizer = optimizer == "adam" ? rank::Optimizer::adam : rank::Optimizer::adagrad;
    options.batch = batch;
    options.seed = seed;
    options.threads = threads;
    const rank::Positives positives{users.data(), items.data(), users.size(), n_users, n_items};
    rank::Lists lists;
    if (given) lists = rank::lists(given->first.data(), given->second.data(), given->first.size(), n_users);
    py::gil_scoped_release release;
    return std::make_unique<Trainer>(positives, lists, options);
}

// The negatives of a tile that are not hard, and what comes off their scores; `batch` has the items of its step.
py::tuple negatives(const Trainer& trainer, uint32_t epoch, uint32_t tile, const Array<int32_t>& batch, int64_t first) {
    rank::Negatives drawn;
    trainer.sampler().draw(epoch, tile, batch.data(), batch.size(), first, {}, drawn);
    drawn.corrections.resize(drawn.items.size());
    return py::make_tuple(to_array(std::move(drawn.items)), to_array(std::move(drawn.corrections)));
}

template <rank::Table& (Trainer::*side)()>
void import_rows(Trainer& trainer, const Array<int32_t>& rows, const Array<float>& factors) {
    const int64_t width = factors.shape(1);
    for (int64_t i = 0; i < rows.size(); ++i)
        std::copy_n(factors.data() + i * width, width, (trainer.*side)().row(rows.data()[i]));
}

// The biases of the arrays are for the likes of the other trainer: there are none here.
template <rank::Table& (Trainer::*side)()>
void export_rows(Trainer& trainer, Array<float>& factors, Array<float>& biases, int) {
    const rank::Table& table = (trainer.*side)();
    std::copy(table.row(0), table.row(table.n_rows()), factors.mutable_data());
    std::fill_n(biases.mutable_data(), biases.size(), 0.0f);
}

}  // namespace

void register_rank(py::module_& m) {
    py::list losses;
#define MCFAST_LOSS_NAME(id, text, type) losses.append(text);
    MCFAST_RANKING_LOSSES(MCFAST_LOSS_NAME)
#undef MCFAST_LOSS_NAME
    m.attr("ranking_losses") = losses;

    py::class_<Trainer>(m, "RankingTrainer")
        .def(py::init(&make), py::arg("users").noconvert(), py::arg("items").noconvert(), py::arg("n_users"),
             py::arg("n_items"), py::kw_only(), py::arg("factors"), py::arg("loss"), py::arg("margin"),
             py::arg("negative_weight"), py::arg("cosine"), py::arg("temperature"), py::arg("learn_temperature"),
             py::arg("l2"), py::arg("dropout"), py::arg("subsampling"), py::arg("hide_known"), py::arg("negatives"),
             py::arg("given"), py::arg("pool"), py::arg("exponent"), py::arg("logq"), py::arg("corrected"),
             py::arg("optimizer"), py::arg("batch"), py::arg("seed"), py::arg("threads"))
        .def("epoch", epoch<Trainer>, py::arg("number"), py::arg("learning_rate"), py::arg("threads"),
             py::arg("progress"))
        .def("checkpoint", &Trainer::checkpoint, py::arg("threads"), py::call_guard<py::gil_scoped_release>())
        .def("restore", &Trainer::restore, py::arg("threads"), py::call_guard<py::gil_scoped_release>())
        .def("import_users", import_rows<&Trainer::users>, py::arg("rows").noconvert(), py::arg("factors").noconvert())
        .def("import_items", import_rows<&Trainer::items>, py::arg("rows").noconvert(), py::arg("factors").noconvert())
        .def("export_users", export_rows<&Trainer::users>, py::arg("factors").noconvert(),
             py::arg("biases").noconvert(), py::arg("threads"))
        .def("export_items", export_rows<&Trainer::items>, py::arg("factors").noconvert(),
             py::arg("biases").noconvert(), py::arg("threads"))
        .def("negatives", negatives, py::arg("epoch"), py::arg("tile"), py::arg("batch").noconvert(), py::arg("first"))
        .def_property_readonly("n_users", [](Trainer& t) { return t.users().n_rows(); })
        .def_property_readonly("n_items", [](Trainer& t) { return t.items().n_rows(); })
        .def_property_readonly("width", &Trainer::width)
        .def_property_readonly("temperature", &Trainer::temperature);
}

}  // namespace mcfast::bind
