#include "bind/bind.h"
#include "kernels/kernels.h"
#include "parallel.h"

namespace mcfast::bind {
namespace {

py::dict build_info() {
    int count = 0;
    const kernels::Set* sets = kernels::sets(&count);
    py::list built, available;
    for (int i = 0; i < count; ++i) {
        built.append(sets[i].name);
        if (sets[i].supported()) available.append(sets[i].name);
    }
    py::dict info;
    info["version"] = MCFAST_VERSION;
    info["compiler"] = MCFAST_COMPILER;
    info["isa_built"] = built;
    info["isa_available"] = available;
    info["isa"] = kernels::active().name;
    info["parallel"] = parallel::backend();
    info["threads"] = parallel::available();
    return info;
}

}  // namespace

void register_build(py::module_& m) {
    kernels::active();  // a wrong MCFAST_ISA is told at import
    m.attr("row_alignment") = kernels::row_alignment;
    m.def("build_info", build_info);
    m.def("set_isa", &kernels::use, py::arg("name"));
    m.def("available_threads", &parallel::available);
}

}  // namespace mcfast::bind
