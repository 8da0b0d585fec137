"""Tables: whatever is done with one leaves what a dict would hold."""

import hypothesis
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mcfast import store
from test_store import LONG, backend, changeable  # noqa: F401

_ids = st.one_of(
    st.integers(-3, 3),
    st.sampled_from(["", "1", "-1", "ä", LONG, LONG + "x"]),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=4),
)
_values = st.tuples(
    hnp.arrays(np.float32, 2, elements=st.floats(-(2.0**99), 2.0**99, width=32)),
    st.floats(-(2.0**99), 2.0**99, width=32),
    st.lists(st.integers(0, 2**31 - 1), max_size=4),
)
_tables = st.lists(st.tuples(_ids, _values), max_size=6)


def _columns(pairs):
    """Return pairs of id and value as the arguments of `put_many`."""
    indptr = np.cumsum([0, *(len(seen) for _, (_, _, seen) in pairs)])
    rows = np.array([row for _, (_, _, seen) in pairs for row in seen], np.int32)
    vectors = np.array([vector for _, (vector, _, _) in pairs], np.float32).reshape(len(pairs), 2)
    return [id for id, _ in pairs], vectors, [bias for _, (_, bias, _) in pairs], (indptr, rows)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@hypothesis.given(pairs=_tables, others=st.lists(_ids, max_size=4))
def test_a_table_that_was_built_holds_what_a_dict_would(backend, tmp_path_factory, pairs, others):  # noqa: F811
    expected = dict(pairs)
    with store.build(backend, tmp_path_factory.mktemp("table") / "table", *_columns(pairs)) as table:
        asked = [*expected, *others]
        many = table.get_many(asked)
        assert many.found.tolist() == [id in expected for id in asked]
        assert len(table) == len(expected)
        assert {id for ids, _ in table.iterate(3) for id in ids} == set(expected)
        for i, (id, (vector, bias, seen)) in enumerate(expected.items()):
            value = table.get(id)
            assert np.array_equal(value.vector, vector)
            assert np.array_equal(many.vectors[i], vector)
            assert (value.bias, value.seen.tolist()) == (bias, seen) == (many.biases[i], value.seen.tolist())
            assert many.seen_rows[many.seen_indptr[i] : many.seen_indptr[i + 1]].tolist() == seen


def test_any_history_leaves_what_a_dict_would_hold(changeable, tmp_path_factory):  # noqa: F811
    backend_name = changeable

    class Machine(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.path = tmp_path_factory.mktemp("table") / "table"
            self.table = store.open(backend_name, self.path)
            self.model = {}

        def teardown(self):
            self.table.close()

        @rule(pairs=_tables)
        def put(self, pairs):
            self.table.put_many(*_columns(pairs))
            self.model.update(pairs)

        @rule(pairs=_tables)
        def replace(self, pairs):
            self.table.replace_all(*_columns(pairs))
            self.model = dict(pairs)

        @rule(ids=st.lists(_ids, max_size=4))
        def delete(self, ids):
            self.table.delete_many(ids)
            for id in ids:
                self.model.pop(id, None)

        @rule()
        def reopen(self):
            if backend_name != "memory":
                self.table.close()
                self.table = store.open(backend_name, self.path)

        @rule(ids=st.lists(_ids, max_size=4))
        def look(self, ids):
            found = self.table.get_many(ids).found.tolist()
            assert found == [id in self.model for id in ids]

        @invariant()
        def same_as_the_model(self):
            assert len(self.table) == len(self.model)
            ids = [id for ids, _ in self.table.iterate(2) for id in ids]
            assert len(ids) == len(self.model)
            assert set(ids) == set(self.model)
            for id, (vector, bias, seen) in self.model.items():
                value = self.table.get(id)
                assert np.array_equal(value.vector, vector)
                assert (value.bias, value.seen.tolist()) == (bias, seen)

    run_state_machine_as_test(Machine, settings=settings(max_examples=25, stateful_step_count=8, deadline=None))
