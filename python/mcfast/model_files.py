"""How a model lies on disk; ``docs/format.md`` gives the bytes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, files
from .data.ids import Ids
from .encoders import Encoder
from .model import Model
from .scale import Scale
from .seen import Seen

KIND = files.Kind("mcfast-model", 3)
FIELDS = ("factors", "mean", "predicts_scores", "parameters", "history", "metrics")
ENCODERS = ("user_encoder", "item_encoder")
ARRAYS = ("user_rows", "item_rows", "user_biases", "item_biases")


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to a directory, or replace the model that stands there: see `Model.save`."""
    fields: dict[str, Any] = {name: getattr(model, name) for name in FIELDS} | model.scale.fields()
    arrays: dict[str, npt.NDArray[Any]] = {name: getattr(model, name) for name in ARRAYS}
    arrays |= {"seen_indptr": model.seen.indptr, "seen_rows": model.seen.rows}
    arrays |= {**model.users.arrays("user"), **model.items.arrays("item")}
    made = {name: encoder for name in ENCODERS if (encoder := getattr(model, name)) is not None}
    fields["encoders"] = {name: encoder.fields() for name, encoder in made.items()}
    for name, encoder in made.items():
        arrays |= encoder.arrays(name)
    fields["written_by"] = f"mcfast {_core.build_info()['version']}"
    files.write(path, KIND, fields, arrays)


def load(path: str | os.PathLike[str], *, verify: bool = True) -> Model:
    """Open a model that `Model.save` wrote; its arrays are memory-mapped.

    Parameters
    ----------
    path : path-like
        The directory.
    verify : bool, default True
        Whether to compare the SHA-256 of every file with the manifest's: about a second for each 1.5 GB. Sizes are
        always compared.

    Returns
    -------
    Model

    Raises
    ------
    FormatError
        There is no such directory, or it is no model.
    CorruptError
        A file is missing, truncated or altered.
    NewerFormatError
        A newer mcfast wrote it.
    """
    directory = files.read(path, KIND, verify=verify)
    arrays = directory.arrays
    stored: dict[str, Any] = {name: directory.fields[name] for name in FIELDS}
    stored |= {name: arrays[name] for name in ARRAYS}
    for name, fields in directory.fields.get("encoders", {}).items():
        stored[name] = Encoder.from_arrays(name, fields, arrays)
    return Model(
        users=Ids.from_arrays("user", arrays),
        items=Ids.from_arrays("item", arrays),
        scale=Scale.stored(directory.fields),
        seen=Seen(np.asarray(arrays["seen_indptr"]), np.asarray(arrays["seen_rows"])),
        **stored,
    )
