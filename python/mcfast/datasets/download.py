"""Files of public data sets: fetched once, checked against a SHA-256 known here, and kept."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

_PACKAGE = "recbole==1.2.1"
_PACKAGE_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_FOLDER = "recbole/dataset_example/ml-100k"
_FILES = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
_BY_HAND = (
    "unpack https://files.grouplens.org/datasets/movielens/ml-100k.zip yourself and read it with "
    "mcfast.datasets.movielens(path)"
)


def movielens_100k(cache: str | os.PathLike[str] | None) -> list[Path]:
    """Return the paths of the ratings, items and users of MovieLens-100K, after fetching what is not in the cache."""
    folder = (_default_cache() if cache is None else Path(cache)) / "movielens-100k"
    paths = [folder / name for name in _FILES]
    if not all(path.is_file() and _sha256(path.read_bytes()) == _FILES[path.name] for path in paths):
        with tempfile.TemporaryDirectory() as temporary:
            _extract(_fetch(Path(temporary)), folder)
    return paths


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcfast"


def _fetch(folder: Path) -> Path:
    """Let pip, with its settings, download the wheel into a folder."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{_PACKAGE} --hash=sha256:{_PACKAGE_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--dest", str(folder), "--requirement", str(requirements)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if run.returncode or len(wheels) != 1:
        reason = (run.stderr.strip() or "pip gave no wheel").splitlines()[-1]
        raise OSError(f"MovieLens-100K could not be fetched through pip ({reason}): {_BY_HAND}")
    if _sha256(wheels[0].read_bytes()) != _PACKAGE_SHA256:
        raise OSError(f"MovieLens-100K came altered: the SHA-256 of {wheels[0].name} is another: {_BY_HAND}")
    return wheels[0]


def _extract(wheel: Path, folder: Path) -> None:
    """Put the files into the cache, each whole under its name or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name, sha256 in _FILES.items():
            content = archive.read(f"{_FOLDER}/{name}")
            if _sha256(content) != sha256:
                raise OSError(f"MovieLens-100K came altered: the SHA-256 of {name} is another: {_BY_HAND}")
            temporary = folder / f"{name}.{secrets.token_hex(4)}.tmp"
            try:
                temporary.write_bytes(content)
                temporary.replace(folder / name)
            finally:
                temporary.unlink(missing_ok=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
