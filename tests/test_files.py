"""Directories of arrays: whole or not at all, and never wrong without a word."""

import json
import os
import random
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from mcfast import files
from mcfast.errors import CorruptError, FormatError, NewerFormatError

KIND = files.Kind("test-thing", 3)


def state(number: int) -> dict[str, np.ndarray]:
    """Arrays whose every element is `number`, so that a mixture of two states shows."""
    return {"a": np.full((50, 16), number, np.float32), "b": np.full(1000, number, np.int64), "none": np.zeros(0)}


def number_of(path: Path) -> int:
    read = files.read(path, KIND)
    numbers = {read.fields["number"], *np.unique(read.arrays["a"]).tolist(), *np.unique(read.arrays["b"]).tolist()}
    assert len(numbers) == 1
    return int(numbers.pop())


def save(path: Path, number: int) -> None:
    files.write(path, KIND, {"number": number}, state(number))


@pytest.mark.parametrize("mmap", [True, False])
def test_round_trip(tmp_path, mmap):
    fields = {"text": "é ☃", "list": [1, 2.5, None], "nested": {"x": True}}
    arrays = {"f": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.zeros((0, 4), np.int32)}
    files.write(tmp_path / "x", KIND, fields, arrays)
    read = files.read(tmp_path / "x", KIND, mmap=mmap)
    assert read.fields == fields
    for name, array in arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)
        assert read.arrays[name].dtype == array.dtype


def test_replacing_leaves_nothing_behind(tmp_path):
    path = tmp_path / "x"
    for number in range(3):
        save(path, number)
        assert number_of(path) == number
    assert len(list(path.iterdir())) == 2


def test_mapped_arrays_outlive_their_replacement(tmp_path):
    path = tmp_path / "x"
    save(path, 1)
    old = files.read(path, KIND).arrays["a"]
    save(path, 2)
    assert (old == 1).all()
    assert number_of(path) == 2


def test_every_altered_byte_is_noticed(tmp_path):
    path = tmp_path / "x"
    save(path, 1)
    rng = random.Random(0)
    for file in [p for p in path.rglob("*") if p.is_file()]:
        original = file.read_bytes()
        for at in {0, len(original) - 1, *rng.choices(range(len(original)), k=20)}:
            altered = bytearray(original)
            altered[at] ^= 1 << rng.randrange(8)
            file.write_bytes(altered)
            with pytest.raises(FormatError):
                files.read(path, KIND)
        file.write_bytes(original)
    assert number_of(path) == 1


def test_truncated_or_missing_files_are_noticed_without_hashing(tmp_path):
    path = tmp_path / "x"
    save(path, 1)
    for file in [p for p in path.rglob("*") if p.is_file()]:
        original = file.read_bytes()
        file.write_bytes(original[:-1] if file.suffix == ".npy" else original[: len(original) // 2])
        with pytest.raises(CorruptError, match="truncated or altered"):
            files.read(path, KIND, verify=False)
        file.unlink()
        with pytest.raises(FormatError, match=r"missing|has no"):
            files.read(path, KIND, verify=False)
        file.write_bytes(original)


def test_a_newer_format_is_told_apart_from_damage(tmp_path):
    files.write(tmp_path / "x", files.Kind(KIND.name, 4), {}, {})
    with pytest.raises(NewerFormatError, match=r"format 4 .* reads up to 3: pip install -U mcfast"):
        files.read(tmp_path / "x", KIND)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: None, "does not exist"),
        (lambda p: p.mkdir(), "has no manifest.json"),
        (lambda p: p.write_text("x"), "is not a directory"),
        (lambda p: files.write(p, files.Kind("other", 1), {}, {}), "its manifest says 'other'"),
    ],
)
def test_what_is_no_such_thing_is_refused(tmp_path, make, reason):
    make(tmp_path / "x")
    with pytest.raises(FormatError, match=f"x: not a test-thing: .*{reason}"):
        files.read(tmp_path / "x", KIND)


def test_other_peoples_directories_are_not_written_to(tmp_path):
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(FormatError, match="not empty"):
        save(tmp_path, 1)
    with pytest.raises(FormatError, match="a file stands there"):
        save(tmp_path / "photo.jpg", 1)
    files.write(tmp_path / "other", files.Kind("other", 1), {}, {})
    with pytest.raises(FormatError, match="its manifest says 'other'"):
        save(tmp_path / "other", 1)
    with pytest.raises(FormatError, match="does not exist"):
        save(tmp_path / "no" / "x", 1)


def in_child(work) -> int:
    """Run `work` in a forked child; return its exit status."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("limit", [0, 200, 1000, 5000, 8000])
def test_a_full_disk_leaves_the_old_state(tmp_path, limit):
    path = tmp_path / "x"
    save(path, 1)
    before = sorted(path.rglob("*"))

    def write_with_little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(OSError, match="File too large"):
            save(path, 2)

    assert in_child(write_with_little_room) == 0
    assert number_of(path) == 1
    assert sorted(path.rglob("*")) == before


def test_kill_at_any_moment_leaves_one_whole_state(tmp_path):
    path = tmp_path / "x"
    save(path, 0)
    rng = random.Random(1)
    numbers = set()
    kills = 0
    while kills < 100 or (len(numbers) <= 10 and kills < 1000):  # on a busy machine fewer children get to write
        kills += 1
        child = os.fork()
        if child == 0:
            number = number_of(path)
            while True:
                number += 1
                save(path, number)
        time.sleep(rng.uniform(0.001, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        numbers.add(number_of(path))
    assert len(numbers) > 10  # the children did get to write
    save(path, 7)
    assert len(list(path.iterdir())) == 2  # what the killed ones left is gone


def test_a_first_save_that_was_killed_does_not_block_the_next(tmp_path):
    (tmp_path / "x" / "arrays-0123").mkdir(parents=True)
    save(tmp_path / "x", 5)
    assert number_of(tmp_path / "x") == 5


def test_readers_see_whole_states_while_a_writer_replaces_them(tmp_path):
    path = tmp_path / "x"
    save(path, 0)
    child = os.fork()
    if child == 0:
        for number in range(1, 200):
            save(path, number)
        os._exit(0)
    seen = {number_of(path) for _ in range(200)}
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(seen) > 1


def test_a_child_does_not_inherit_the_lock(tmp_path):
    children = []

    def fork(file):
        file.touch()
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)

    files.write(tmp_path / "x", KIND, {"number": 1}, state(1), {"blob": fork})
    assert in_child(lambda: (signal.alarm(20), save(tmp_path / "x", 2))) == 0
    os.kill(children[0], signal.SIGKILL)
    os.waitpid(children[0], 0)


def test_manifest_is_plain_json(tmp_path):
    save(tmp_path / "x", 1)
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_text())
    assert manifest["kind"] == "test-thing"
    assert set(manifest["files"]) == {"a", "b", "none"}
