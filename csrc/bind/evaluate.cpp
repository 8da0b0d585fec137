#include "bind/bind.h"
#include "evaluate/ranking.h"

namespace mcfast::bind {
namespace {

using evaluate::Measures;

constexpr const char* names[] = {"recall", "capped_recall", "precision", "ndcg", "map", "mrr", "hit_rate"};
constexpr py::ssize_t n_names = sizeof names / sizeof *names;
static_assert(sizeof(Measures) == n_names * sizeof(double), "a name for each measure");

// An array (users, cuts, measures).
Array<double> ranking_measures(const Array<int64_t>& ranked, const Array<int64_t>& relevant_indptr,
                               const Array<int32_t>& relevant_rows, const Array<int64_t>& n_relevant,
                               const std::vector<int64_t>& cuts, int threads) {
    const evaluate::Lists lists{ranked.data(),          ranked.shape(0),      ranked.shape(1),
                                relevant_indptr.data(), relevant_rows.data(), n_relevant.data()};
    Array<double> out({ranked.shape(0), static_cast<py::ssize_t>(cuts.size()), n_names});
    auto* const measures = reinterpret_cast<Measures*>(out.mutable_data());
    py::gil_scoped_release release;
    evaluate::measure(lists, cuts, measures, threads);
    return out;
}

}  // namespace

void register_evaluate(py::module_& m) {
    m.def("ranking_measures", ranking_measures, py::arg("ranked").noconvert(), py::arg("relevant_indptr").noconvert(),
          py::arg("relevant_rows").noconvert(), py::arg("n_relevant").noconvert(), py::arg("cuts"), py::arg("threads"));
    py::tuple measures(n_names);
    for (py::ssize_t i = 0; i < n_names; ++i) measures[static_cast<size_t>(i)] = names[i];
    m.attr("measures") = measures;
}

}  // namespace mcfast::bind
