#include <tuple>

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

// indptr, parameters, coefficients, their numbers, the default id; where histories begin, if there are any, the
// parameter of item 0 in them, and their power; and the units of a tower.
using Terms = std::tuple<Array<int64_t>, Array<int32_t>, Array<float>, int32_t, int32_t, std::optional<Array<int64_t>>,
                         int32_t, double, int32_t>;

template <class T>
std::vector<T> to_vector(const Array<T>& array) {
    return {array.data(), array.data() + array.size()};
}

std::optional<rank::Parts> parts(const std::optional<Terms>& terms) {
    if (!terms) return std::nullopt;
    const auto& [indptr, parameters, coefficients, n, default_id, histories, first_item, power, units] = *terms;
    rank::Parts out{
        to_vector(indptr), {}, to_vector(parameters), to_vector(coefficients), n, default_id, first_item, power, units};
    if (histories) out.histories = to_vector(*histories);
    return out;
}

// `negatives` has pairs of source and number, `given` users and items that are hard for them.
std::unique_ptr<Trainer> make(const Array<int32_t>& users, const Array<int32_t>& items, int32_t n_users,
                              int32_t n_items, int64_t factors, const std::string& loss, float margin,
                              float negative_weight, bool cosine, double temperature, bool learn_temperature,
                              std::pair<float, float> l2, double dropout, double subsampling, bool hide_known,
                              const std::vector<std::pair<std::string, int64_t>>& negatives,
                              const std::optional<std::pair<Array<int32_t>, Array<int32_t>>>& given, int64_t pool,
                              double exponent, double logq, bool corrected, const std::string& optimizer, int64_t batch,
                              const std::optional<Terms>& user_terms, const std::optional<Terms>& item_terms,
                              double id_dropout, uint64_t seed, int threads) {
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
    options.id_dropout = id_dropout;
    options.seed = seed;
    options.threads = threads;
    const rank::Positives positives{users.data(), items.data(), users.size(), n_users, n_items};
    rank::Lists lists;
    if (given) lists = rank::lists(given->first.data(), given->second.data(), given->first.size(), n_users);
    std::optional<rank::Parts> of_users = parts(user_terms), of_items = parts(item_terms);
    py::gil_scoped_release release;
    return std::make_unique<Trainer>(positives, lists, std::move(of_users), std::move(of_items), options);
}

// The negatives of a tile that are not hard, and what comes off their scores; `batch` has the items of its step.
py::tuple negatives(const Trainer& trainer, uint32_t epoch, uint32_t tile, const Array<int32_t>& batch, int64_t first) {
    rank::Negatives drawn;
    trainer.sampler().draw(epoch, tile, batch.data(), batch.size(), first, {}, drawn);
    drawn.corrections.resize(drawn.items.size());
    return py::make_tuple(to_array(std::move(drawn.items)), to_array(std::move(drawn.corrections)));
}

// Of vectors, or of parameters where these are composed.
template <rank::Table& (Trainer::*table)()>
void import_rows(Trainer& trainer, const Array<int32_t>& rows, const Array<float>& factors) {
    const int64_t width = factors.shape(1);
    for (int64_t i = 0; i < rows.size(); ++i)
        std::copy_n(factors.data() + i * width, width, (trainer.*table)().row(rows.data()[i]));
}

// The biases of the arrays are for the likes of the other trainer: there are none here.
template <const rank::Side& (Trainer::*side)() const, rank::Table& (Trainer::*table)()>
void export_rows(Trainer& trainer, Array<float>& factors, Array<float>& biases, int threads) {
    (trainer.*side)().read((trainer.*table)(), factors.mutable_data(), threads);
    std::fill_n(biases.mutable_data(), biases.size(), 0.0f);
}

// None where vectors are not composed.
template <const rank::Side& (Trainer::*side)() const, rank::Table& (Trainer::*table)()>
std::optional<Array<float>> parameters(Trainer& trainer) {
    if (!(trainer.*side)().composed()) return std::nullopt;
    const rank::Table& from = (trainer.*table)();
    Array<float> out({static_cast<py::ssize_t>(from.n_rows()), static_cast<py::ssize_t>(trainer.width())});
    std::copy(from.row(0), from.row(from.n_rows()), out.mutable_data());
    return out;
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
             py::arg("optimizer"), py::arg("batch"), py::arg("user_terms").none(true), py::arg("item_terms").none(true),
             py::arg("id_dropout"), py::arg("seed"), py::arg("threads"))
        .def("epoch", epoch<Trainer>, py::arg("number"), py::arg("learning_rate"), py::arg("threads"),
             py::arg("progress"))
        .def("checkpoint", &Trainer::checkpoint, py::arg("threads"), py::call_guard<py::gil_scoped_release>())
        .def("restore", &Trainer::restore, py::arg("threads"), py::call_guard<py::gil_scoped_release>())
        .def("drop_checkpoint", &Trainer::drop_checkpoint)
        .def("import_users", import_rows<&Trainer::user_table>, py::arg("rows").noconvert(),
             py::arg("factors").noconvert())
        .def("import_items", import_rows<&Trainer::item_table>, py::arg("rows").noconvert(),
             py::arg("factors").noconvert())
        .def("export_users", export_rows<&Trainer::users, &Trainer::user_table>, py::arg("factors").noconvert(),
             py::arg("biases").noconvert(), py::arg("threads"))
        .def("export_items", export_rows<&Trainer::items, &Trainer::item_table>, py::arg("factors").noconvert(),
             py::arg("biases").noconvert(), py::arg("threads"))
        .def("user_parameters", parameters<&Trainer::users, &Trainer::user_table>)
        .def("item_parameters", parameters<&Trainer::items, &Trainer::item_table>)
        .def("negatives", negatives, py::arg("epoch"), py::arg("tile"), py::arg("batch").noconvert(), py::arg("first"))
        .def_property_readonly("n_users", [](Trainer& t) { return t.users().n_rows(); })
        .def_property_readonly("n_items", [](Trainer& t) { return t.items().n_rows(); })
        .def_property_readonly("width", &Trainer::width)
        .def_property_readonly("temperature", &Trainer::temperature);
}

}  // namespace mcfast::bind
