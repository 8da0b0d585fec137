#include "bind/bind.h"
#include "evaluate/ranking.h"

namespace mcfast::bind {
namespace {

py::list ranking_measures(const Array<int64_t>& ranked, const Array<int64_t>& relevant_indptr,
                          const Array<int32_t>& relevant_rows, const Array<int64_t>& n_relevant,
                          const std::vector<int64_t>& cuts, int threads) {
    const evaluate::Lists lists{ranked.data(),          ranked.shape(0),      ranked.shape(1),
                                relevant_indptr.data(), relevant_rows.data(), n_relevant.data()};
    std::vector<evaluate::Measures> sums;
    {
        py::gil_scoped_release release;
        sums = evaluate::measure(lists, cuts, threads);
    }
    py::list out;
    for (const evaluate::Measures& m : sums) {
        py::dict at;
        at["recall"] = m.recall;
        at["capped_recall"] = m.capped_recall;
        at["precision"] = m.precision;
        at["ndcg"] = m.ndcg;
        at["map"] = m.map;
        at["mrr"] = m.mrr;
        at["hit_rate"] = m.hit_rate;
        out.append(at);
    }
    return out;
}

}  // namespace

void register_evaluate(py::module_& m) {
    m.def("ranking_measures", ranking_measures, py::arg("ranked").noconvert(), py::arg("relevant_indptr").noconvert(),
          py::arg("relevant_rows").noconvert(), py::arg("n_relevant").noconvert(), py::arg("cuts"), py::arg("threads"));
}

}  // namespace mcfast::bind
