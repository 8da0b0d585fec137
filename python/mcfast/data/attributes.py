"""Tables of titles and other attributes, one row an id: read from what people have, kept as Arrow files."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import message
from . import columns, tables
from .conditions import Bool, Coded, Conditions
from .ids import Ids, Rows

if TYPE_CHECKING:
    import pyarrow as pa

ID = "id"


def read_attributes(source: Any, known: Ids, name: str) -> pa.Table:
    """Read a table of attributes.

    Parameters
    ----------
    source : path or table
        A path to CSV, Parquet or Arrow, or a pandas, Polars or Arrow table. Its column ``id``, or the first one where
        none is called so, holds distinct ids.
    known : Ids
        The ids that are kept; the others are left out.
    name : str
        The argument, for messages.

    Returns
    -------
    pyarrow.Table
        The column ``id`` first, then the attributes.

    Raises
    ------
    TypeError, ValueError
        There is no such table, an id comes twice or is missing, or ids are of another kind than those of the model.
    """
    import pyarrow as pa

    key = id_column(source, name)
    others = [column for column in tables.names(source) if column != key]
    # The role "items" lets ids come as they are written, and a table of one dtype hold them.
    read = tables.read(source, {"items": key, **{f"attribute {i}": c for i, c in enumerate(others)}}, numbers=())
    arrays = [columns.plain(column) for column in read.values()]
    rows = known.rows(Ids(arrays[0], f"ids of {name}").values, f"ids of {name}", "skip")
    table = pa.table([_arrow(array) for array in arrays], [ID, *map(str, others)])
    return table.filter(pa.array(rows >= 0))


def id_column(source: Any, name: str) -> str:
    """Return the name of the column of ids: ``id``, or the first one where none is called so."""
    there: list[str] = tables.names(source)
    if not there:
        raise ValueError(message(name, "a table without columns", f"a column {ID!r}"))
    return ID if ID in there else there[0]


def of_ids(table: pa.Table, known: Ids) -> pa.Table:
    """Return those rows of a table of `read_attributes` whose ids are known."""
    import pyarrow as pa

    return table.filter(pa.array(known.rows(table[ID], unknown="skip") >= 0))


def write_attributes(table: pa.Table, path: Path) -> None:
    """Write a table as an Arrow IPC file."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
        out.write_table(table)


class Attributes:
    """The attributes of ids, in a file that is mapped when they are first asked for.

    Parameters
    ----------
    path : path-like, optional
        What `write_attributes` wrote; None has no attributes.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._looked_up: tuple[Ids, Rows] | None = None

    def of(self, id: Any) -> dict[str, Any]:
        """Return the attributes of an id by name; none where it is unknown."""
        if self._path is None:
            return {}
        table, ids = self._table
        if isinstance(id, str) == ids.is_integer:
            return {}
        row = int(ids.rows(id, "id", "skip")[0])
        return {} if row < 0 else table.slice(row, 1).to_pylist()[0]

    def matching(self, conditions: Conditions, known: Ids) -> Bool:
        """Return which of the ids hold conditions on their attributes; raises ValueError where there is no such one."""
        found = np.zeros(len(known), np.bool_)
        if self._path is None:
            raise ValueError(message("filter", dict(conditions), "attributes, which were not published"))
        _, ids = self._table
        if len(ids) and ids.is_integer == known.is_integer:
            rows = self._rows_of(known)[self._coded.mask(conditions)]
            found[rows[rows >= 0]] = True
        return found

    def having(self, text: str, name: str, known: Ids) -> Bool:
        """Return which of the ids have a text in an attribute, in upper or lower case."""
        import pyarrow.compute as pc

        found = np.zeros(len(known), np.bool_)
        if name in self.names and self._table[1].is_integer == known.is_integer:
            table, ids = self._table
            has = pc.match_substring(table[name].cast("string"), text, ignore_case=True).fill_null(False)
            rows = known.rows(ids.values[has.to_numpy()], "ids", "skip")
            found[rows[rows >= 0]] = True
        return found

    @property
    def names(self) -> list[str]:
        """The names of the attributes."""
        return [] if self._path is None else list(self._table[0].column_names)

    @cached_property
    def _coded(self) -> Coded:
        return Coded(self._table[0])

    def _rows_of(self, known: Ids) -> Rows:
        """Return the row of each id of the table among the known ones, which as a rule are those of the last time."""
        if self._looked_up is None or self._looked_up[0] is not known:
            self._looked_up = known, known.rows(self._table[1].values, "ids", "skip")
        return self._looked_up[1]

    @cached_property
    def _table(self) -> tuple[pa.Table, Ids]:
        import pyarrow as pa

        table = pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()
        return table.drop_columns([ID]), Ids(table[ID])


def _arrow(values: Any) -> Any:
    import pyarrow as pa

    return pa.array(values, from_pandas=True) if isinstance(values, np.ndarray) else values
