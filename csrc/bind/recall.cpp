#include "bind/changing.h"
#include "recall/regions.h"

namespace mcfast::bind {
namespace {

using recall::Answers;
using recall::Bits;
using recall::Changing;
using recall::Exact;
using recall::Filter;
using recall::Metric;
using recall::Regions;
using OptionalIndptr = std::optional<Array<int64_t>>;
using OptionalRows = std::optional<Array<int32_t>>;
using Rows = std::variant<Array<float>, Array<uint16_t>>;  // fp32, or the bits of fp16
using OptionalBits = std::optional<Array<uint64_t>>;

Metric metric_named(const std::string& name) {
    if (name == "ip") return Metric::ip;
    if (name == "l2") return Metric::l2;
    throw py::value_error("metric: unknown name '" + name + "'");
}

// Calls fn(filter, answers) without the GIL and returns (rows, scores, counts).
template <class Fn>
py::tuple answer(int64_t n_queries, int64_t k, const OptionalIndptr& exclude_indptr, const OptionalRows& exclude_rows,
                 const OptionalBits& allow, Fn&& fn) {
    Array<int64_t> rows(std::vector<py::ssize_t>{n_queries, k}), counts(n_queries);
    Array<float> scores(std::vector<py::ssize_t>{n_queries, k});
    const Bits allowed = allow ? Bits{allow->data(), allow->shape(0)} : Bits{};
    const Filter filter{data_or_null(exclude_indptr), data_or_null(exclude_rows), allowed};
    const Answers answers{k, rows.mutable_data(), scores.mutable_data(), counts.mutable_data()};
    {
        py::gil_scoped_release release;
        fn(filter, answers);
    }
    return py::make_tuple(std::move(rows), std::move(scores), std::move(counts));
}

recall::Items items_of(const Array<float>& rows, const std::optional<Array<float>>& offsets,
                       const std::string& metric) {
    return {rows.data(), rows.shape(0), rows.shape(1), data_or_null(offsets), metric_named(metric)};
}

// NumPy's halves have no type in C++.
recall::Items items_of(const Rows& rows, const std::optional<Array<float>>& offsets, const std::string& metric) {
    if (std::holds_alternative<Array<float>>(rows)) return items_of(std::get<Array<float>>(rows), offsets, metric);
    const auto& halves = std::get<Array<uint16_t>>(rows);
    return {nullptr, halves.shape(0), halves.shape(1), data_or_null(offsets), metric_named(metric),
            nullptr, halves.data()};
}

std::unique_ptr<Changing<Exact>> build(const Rows& rows, const std::optional<Array<float>>& offsets, int threads,
                                       const std::string& metric) {
    const recall::Items items = items_of(rows, offsets, metric);
    py::gil_scoped_release release;
    return std::make_unique<Changing<Exact>>(items, threads);
}

py::tuple search(const Changing<Exact>& index, const Array<float>& queries, int64_t k,
                 const OptionalIndptr& exclude_indptr, const OptionalRows& exclude_rows, const OptionalBits& allow,
                 int threads) {
    const float* const from = queries.data();
    const int64_t n = queries.shape(0);
    return answer(n, k, exclude_indptr, exclude_rows, allow, [&](const Filter& filter, const Answers& to) {
        index.search(from, n, filter, threads, to, [&](const Filter& own) {
            index.built.search(from, n, k, own, threads, to.rows, to.scores, to.counts);
        });
    });
}

// Regions go to Python as an array: a row each, its members in order.
py::tuple cut(const Array<float>& rows, const std::optional<Array<float>>& offsets, const std::string& metric,
              const Array<float>& queries, int64_t n_regions, uint64_t seed, int threads) {
    const recall::Items items = items_of(rows, offsets, metric);
    const float* const from = queries.data();
    const int64_t n_queries = queries.shape(0);
    recall::Cut made;
    {
        py::gil_scoped_release release;
        made = recall::cut(items, from, n_queries, n_regions, seed, threads);
    }
    const auto n = static_cast<py::ssize_t>(made.regions.size());
    Array<double> regions(std::vector<py::ssize_t>{n, 7});
    double* to = regions.mutable_data();
    for (const recall::Region& r : made.regions)
        for (const double x : {static_cast<double>(r.size), static_cast<double>(r.direction), double{r.length},
                               double{r.along}, double{r.across}, double{r.offset}, double{r.offset_spread}})
            *to++ = x;
    const auto width = rows.shape(1);
    return py::make_tuple(
        Array<int32_t>(static_cast<py::ssize_t>(made.order.size()), made.order.data()), regions,
        Array<float>(std::vector<py::ssize_t>{made.directions.size() / width, width}, made.directions.data()));
}

std::unique_ptr<Changing<Regions>> build_regions(const Rows& rows, const std::optional<Array<float>>& offsets,
                                                 const std::string& metric, const Array<int32_t>& order,
                                                 const Array<double>& regions, const Array<float>& directions,
                                                 int threads) {
    const recall::Items items = items_of(rows, offsets, metric);
    std::vector<recall::Region> made;
    for (py::ssize_t i = 0; i < regions.shape(0); ++i) {
        const auto at = [&](int column) { return static_cast<float>(regions.at(i, column)); };
        made.push_back({static_cast<int64_t>(regions.at(i, 0)), static_cast<int32_t>(regions.at(i, 1)), at(2), at(3),
                        at(4), at(5), at(6)});
    }
    const int32_t* const by = order.data();
    const float* const directed = directions.data();
    py::gil_scoped_release release;
    return std::make_unique<Changing<Regions>>(items, by, made, directed, threads);
}

py::tuple search_regions(const Changing<Regions>& index, const Array<float>& queries, int64_t k,
                         const OptionalIndptr& exclude_indptr, const OptionalRows& exclude_rows,
                         const OptionalBits& allow, int threads, double reach) {
    const float* const from = queries.data();
    const int64_t n = queries.shape(0);
    return answer(n, k, exclude_indptr, exclude_rows, allow, [&](const Filter& filter, const Answers& to) {
        index.search(from, n, filter, threads, to,
                     [&](const Filter& own) { index.built.search(from, n, k, own, reach, threads, to); });
    });
}

py::tuple rank(const Array<float>& rows, const std::optional<Array<float>>& offsets, const std::string& metric,
               const Array<float>& queries, const Array<int64_t>& candidates, int64_t k,
               const OptionalIndptr& exclude_indptr, const OptionalRows& exclude_rows, const OptionalBits& allow,
               int threads) {
    const recall::Items items = items_of(rows, offsets, metric);
    const float* const from = queries.data();
    const int64_t* const among = candidates.data();
    const int64_t n = queries.shape(0), n_candidates = candidates.shape(1);
    return answer(n, k, exclude_indptr, exclude_rows, allow, [&](const Filter& filter, const Answers& to) {
        recall::rank(items, from, n, among, n_candidates, filter, threads, to);
    });
}

Array<float> unit_rows(const Array<float>& rows, int threads) {
    const int64_t n = rows.shape(0), width = rows.shape(1);
    Array<float> out(std::vector<py::ssize_t>{n, width});
    const float* const from = rows.data();
    float* const to = out.mutable_data();
    py::gil_scoped_release release;
    recall::unit_rows(from, n, width, threads, to);
    return out;
}

}  // namespace

void register_recall(py::module_& m) {
    py::class_<Changing<Exact>> exact(m, "Exact");
    exact
        .def(py::init(&build), py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("threads"),
             py::arg("metric") = "ip", py::keep_alive<1, 2>(), py::keep_alive<1, 3>())
        .def("search", search, py::arg("queries").noconvert(), py::arg("k"), py::arg("exclude_indptr").noconvert(),
             py::arg("exclude_rows").noconvert(), py::arg("allow").noconvert(), py::arg("threads"));
    define_changes(exact);
    py::class_<Changing<Regions>> regions(m, "Regions");
    regions
        .def(py::init(&build_regions), py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("metric"),
             py::arg("order").noconvert(), py::arg("regions").noconvert(), py::arg("directions").noconvert(),
             py::arg("threads"), py::keep_alive<1, 2>(), py::keep_alive<1, 3>(), py::keep_alive<1, 7>())
        .def("search", search_regions, py::arg("queries").noconvert(), py::arg("k"),
             py::arg("exclude_indptr").noconvert(), py::arg("exclude_rows").noconvert(), py::arg("allow").noconvert(),
             py::arg("threads"), py::arg("reach"));
    define_changes(regions);
    m.def("cut", cut, py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("metric"),
          py::arg("queries").noconvert(), py::arg("n_regions"), py::arg("seed"), py::arg("threads"));
    m.def("rank", rank, py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("metric"),
          py::arg("queries").noconvert(), py::arg("candidates").noconvert(), py::arg("k"),
          py::arg("exclude_indptr").noconvert(), py::arg("exclude_rows").noconvert(), py::arg("allow").noconvert(),
          py::arg("threads"));
    m.def("unit_rows", unit_rows, py::arg("rows").noconvert(), py::arg("threads"));
}

}  // namespace mcfast::bind
