"""Encoders: the vectors of users or items made of attributes and histories, those of new ones too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from .data.features import Encoded, Features, Terms
from .data.histories import Histories, with_histories
from .data.ids import Ids

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


class Described(NamedTuple):
    """The attributes of all ids of one side."""

    features: Features
    encoded: Encoded

    @classmethod
    def of(cls, table: Any, ids: Ids, name: str) -> Described:
        """Read a table of attributes; None has none."""
        return (
            cls(Features([], []), without_attributes(len(ids)))
            if table is None
            else cls(*Features.of(table, ids, name))
        )

    def terms(
        self, met: npt.NDArray[np.bool_], histories: Histories | None, n_items: int, hidden: int, factors: int
    ) -> Terms:
        """Return rows as sums of parameters; the default id serves those that are not `met` in the data."""
        ids = np.where(met, np.arange(len(met)), len(met)).astype(np.int32)
        terms = self.features.terms(self.encoded, len(met), ids)
        if histories is not None:
            terms = with_histories(terms, histories, n_items)
        weights = tower_rows(hidden, padded(factors))
        return terms._replace(n_parameters=terms.n_parameters + weights, units=hidden)


def padded(n: int) -> int:
    """Return n, rounded up to what rows are aligned to."""
    return -(-n // _core.row_alignment) * _core.row_alignment


def tower_rows(units: int, width: int) -> int:
    """Return how many rows of parameters the weights of a tower take: see csrc/compose/tower.h."""
    return 2 * units + 1 + -(-units // width) if units else 0


def without_attributes(n: int) -> Encoded:
    """Return n rows that have no attributes."""
    return Encoded(
        np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), np.zeros((n, 0), np.float32)
    )


class Encoder:
    """What the vectors of one side are made of.

    Parameters
    ----------
    features : Features
        How attributes are encoded.
    parameters : numpy.ndarray
        (n_parameters, width) float32, padded: a row an id, the default id, a row a value, a row a number, a row an item
        that may be in a history, the weights of a tower.
    n_items : int
        How many items have a row for histories; 0 without histories.
    unit : bool
        Whether vectors are brought to the unit sphere.
    units : int
        Of the tower, 0 without one.
    """

    def __init__(self, features: Features, parameters: Float32, n_items: int, unit: bool, units: int) -> None:
        self.features, self.parameters, self.n_items, self.unit, self.units = features, parameters, n_items, unit, units

    @classmethod
    def trained(cls, features: Features, parameters: Float32, n_items: int, unit: bool, units: int) -> Encoder:
        """Return an encoder of what was learnt; ids that were not met, whose parameters are 0, get the default one."""
        encoder = cls(features, parameters, n_items, unit, units)
        ids = parameters[: encoder.n_ids]
        ids[~ids.any(axis=1)] = parameters[encoder.n_ids]
        return encoder

    @property
    def n_ids(self) -> int:
        """How many ids have parameters."""
        others = 1 + self.features.n_values + self.features.n_numbers + self.n_items
        return len(self.parameters) - others - tower_rows(self.units, self.parameters.shape[1])

    @property
    def sums_histories(self) -> bool:
        """Whether a user is no more than the sum of a history and a default id: not under a hidden layer."""
        return self.n_items > 0 and not self.units

    @property
    def history(self) -> Float32:
        """What histories are made of: the row of the default id, then one an item; padded."""
        return np.concatenate(
            [self.parameters[self.n_ids, None], self.parameters[len(self.parameters) - self.n_items :]]
        )

    def rows(self, encoded: Encoded, ids: Int32, histories: Histories | None, threads: int) -> Float32:
        """Return vectors, padded: of ids by row, -1 for new ones, with these attributes and histories."""
        terms = self.features.terms(encoded, self.n_ids, np.where(ids < 0, self.n_ids, ids).astype(np.int32))
        if histories is not None:
            terms = with_histories(terms, histories, self.n_items)
        rows = np.arange(len(ids), dtype=np.int32)
        made = terms.indptr, terms.parameters, terms.coefficients, terms.default_id
        return _core.compose_rows(*made, self.parameters, rows, None, self.unit, self.units, threads)

    def fields(self) -> dict[str, Any]:
        """Return what a manifest keeps beside `arrays`."""
        return {**self.features.fields(), "items": self.n_items, "unit": self.unit, "units": self.units}

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return everything else as plain arrays, for a file."""
        return {f"{prefix}_parameters": self.parameters, **self.features.arrays(prefix)}

    @classmethod
    def from_arrays(cls, prefix: str, fields: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Encoder:
        """Return what `fields` and `arrays` wrote."""
        features = Features.from_arrays(prefix, fields, arrays)
        return cls(features, arrays[f"{prefix}_parameters"], fields["items"], fields["unit"], fields.get("units", 0))
