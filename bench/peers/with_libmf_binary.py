"""LIBMF's command line, where `--libmf` names a built `mf-train`; its solver's time alone, without reading the text."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from contract import Answer, Part

PACKAGES = None  # nothing to install: built by hand
MEASURE = "rmse"
CONTENDERS = {
    "LIBMF binary": {
        "18m": {"-k": 64, "-l2": 0.05, "-r": 0.1, "-t": [9, 11]},
        "ml-1m": {"-k": 256, "-l2": 0.05, "-r": 0.05, "-t": [10, 14, 18]},
        "ml-100k": {"-k": 128, "-l2": 0.07, "-r": 0.05, "-t": [10, 15, 20]},
    }
}


def fit(train: Part, settings: dict, threads: int) -> Answer:
    settings = dict(settings)
    binary = Path(settings.pop("libmf"))
    folder = tempfile.TemporaryDirectory()
    data, model = Path(folder.name) / "train.txt", Path(folder.name) / "model.txt"
    write(data, *train)
    options = [str(word) for pair in settings.items() for word in pair]
    command = ["stdbuf", "-oL", binary, *options, "-s", str(threads), data, model]
    ends = []  # of the header, when the solver begins, and of each iteration
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            words = line.split()
            if words and (words[0] == "iter" or words[0].isdecimal()):
                ends.append(time.perf_counter())
    if child.returncode:
        raise RuntimeError(f"{binary} ended with exit code {child.returncode}")

    def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        with folder:
            pairs, out = Path(folder.name) / "test.txt", Path(folder.name) / "out.txt"
            write(pairs, users, items, np.zeros(len(users), np.float32))
            subprocess.run([binary.with_name("mf-predict"), pairs, model, out], check=True, stdout=subprocess.DEVNULL)
            return np.loadtxt(out)

    return Answer(predict=predict, seconds=ends[-1] - ends[0], epochs=np.diff(ends).tolist())


def write(path: Path, *columns: np.ndarray) -> None:
    """Write columns as text, with spaces between."""
    import pyarrow as pa
    from pyarrow import csv

    options = csv.WriteOptions(include_header=False, delimiter=" ")
    csv.write_csv(pa.table(dict(zip("uiy", columns, strict=True))), path, options)
