#include "bind/bind.h"

PYBIND11_MODULE(_core, m) {
    m.doc() = "The compiled core of mcfast. Its callers check arguments; use the package, not this module.";
    mcfast::bind::register_build(m);
    mcfast::bind::register_data(m);
    mcfast::bind::register_compose(m);
    mcfast::bind::register_score(m);
    mcfast::bind::register_train(m);
    mcfast::bind::register_rank(m);
    mcfast::bind::register_recall(m);
    mcfast::bind::register_evaluate(m);
}
