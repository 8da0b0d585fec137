"""MovieLens: every format of a folder, and the one that is fetched."""

import subprocess
import sys
import zipfile

import pytest

from mcfast import FormatError
from mcfast.datasets import download, movielens, movielens_100k
from mcfast.datasets.movielens import read_movies_dat


def write(folder, **files):
    for name, (text, encoding) in files.items():
        (folder / name.replace("_", ".")).write_bytes(text.encode(encoding))


def flags(*ones):
    return "|".join(str(int(place in ones)) for place in range(19))


def test_100k(tmp_path):
    write(
        tmp_path,
        u_data=("196\t242\t3\t881250949\n186\t302\t4\t891717742\n", "ascii"),
        u_item=(
            f"242|Misérables, Les (1995)|01-Jan-1995||http://x|{flags(8)}\n"
            f"302|L.A. Confidential (1997)|||http://y|{flags(6, 10, 16)}\n267|unknown||||{flags(0)}\n",
            "latin-1",
        ),
        u_user=("196|49|M|writer|55105\n186|39|F|executive|00000\n", "ascii"),
    )
    data = movielens(tmp_path)
    assert data.triples.to_arrow().to_pydict() == {
        "user": [196, 186],
        "item": [242, 302],
        "score": [3, 4],
        "time": [881250949, 891717742],
    }
    assert data.items.to_pydict() == {
        "id": [242, 302, 267],
        "title": ["Misérables, Les", "L.A. Confidential", "unknown"],
        "year": [1995, 1997, None],
        "genres": [["Drama"], ["Crime", "Film-Noir", "Thriller"], ["unknown"]],
    }
    assert data.users.to_pydict() == {
        "id": [196, 186],
        "age": [49, 39],
        "gender": ["M", "F"],
        "occupation": ["writer", "executive"],
        "zip": ["55105", "00000"],
    }


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_1m(tmp_path, encoding):
    write(
        tmp_path,
        ratings_dat=("1::1193::5::978300760\n2::73::4.5::978300761\n", encoding),
        movies_dat=("1193::Café au Lait (1993)::Comedy|Romance\n73::Odd (one)::Drama\n", encoding),
        users_dat=("1::F::1::10::48067\n2::M::56::16::70072-1234\n", encoding),
    )
    data = movielens(tmp_path)
    assert data.triples.scores.tolist() == [5, 4.5]
    assert data.triples.times.tolist() == [978300760, 978300761]
    assert data.items.to_pylist() == [
        {"id": 1193, "title": "Café au Lait", "year": 1993, "genres": ["Comedy", "Romance"]},
        {"id": 73, "title": "Odd (one)", "year": None, "genres": ["Drama"]},
    ]
    assert data.users.to_pylist() == [
        {"id": 1, "age": 1, "gender": "F", "occupation": "K-12 student", "zip": "48067"},
        {"id": 2, "age": 56, "gender": "M", "occupation": "self-employed", "zip": "70072-1234"},
    ]


def test_10m_says_nothing_of_users(tmp_path):
    write(tmp_path, ratings_dat=("1::2::5::3\n", "ascii"), movies_dat=("2::A (2000)::Drama\n", "ascii"))
    assert movielens(tmp_path).users is None


def test_latest(tmp_path):
    write(
        tmp_path,
        ratings_csv=("userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n1,7,4.0,1260759179\n", "utf-8"),
        movies_csv=(
            'movieId,title,genres\r\n31,"Misérables, Les (1995)",Drama|War\r\n7,Nameless,(no genres listed)\r\n',
            "utf-8",
        ),
    )
    data = movielens(str(tmp_path))
    assert data.triples.scores.tolist() == [2.5, 4]
    assert data.triples.times.tolist() == [1260759144, 1260759179]
    assert data.items.to_pylist() == [
        {"id": 31, "title": "Misérables, Les", "year": 1995, "genres": ["Drama", "War"]},
        {"id": 7, "title": "Nameless", "year": None, "genres": []},
    ]
    assert data.users is None


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(FormatError, match=r"it holds none .*u\.data, u\.item, u\.user; or ratings\.dat, .*movies\.csv"):
        movielens(tmp_path)
    with pytest.raises(FormatError, match="it does not exist"):
        movielens(tmp_path / "none")


def test_a_broken_line_is_named(tmp_path):
    write(tmp_path, ratings_dat=("1::2::5::3\n", "ascii"), movies_dat=("2::A (2000)::Drama\n\n3::B\n", "ascii"))
    with pytest.raises(FormatError, match=r"movies\.dat: line 3: 2 fields, expected 3 separated by '::'"):
        movielens(tmp_path)


def test_real_titles(data_folder):
    items = read_movies_dat(data_folder / "ml-1m" / "movies.dat")
    assert items.num_rows == 3883
    assert items["year"].null_count == 0
    assert items.slice(0, 1).to_pylist() == [
        {"id": 1, "title": "Toy Story", "year": 1995, "genres": ["Animation", "Children's", "Comedy"]}
    ]
    assert "Misérables, Les" in items["title"].to_pylist()


def test_fetched(monkeypatch):
    data = movielens_100k()
    assert (len(data.triples), data.triples.n_users, data.triples.n_items) == (100_000, 943, 1682)
    assert (data.items.num_rows, data.users.num_rows) == (1682, 943)
    assert data.triples.user_ids.is_integer
    assert set(data.triples.user_ids.values) == set(data.users["id"].to_pylist())
    assert set(data.triples.item_ids.values) == set(data.items["id"].to_pylist())
    assert data.triples.times.min() == 874724710
    assert "Star Wars" in data.items["title"].to_pylist()
    assert "L.A. Confidential" in data.items["title"].to_pylist()
    monkeypatch.setattr(download, "_fetch", None)  # what the cache holds is not fetched again
    assert len(movielens_100k().triples) == 100_000


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel like the one that is fetched, with files of our own, as the one and only to be fetched."""
    path = tmp_path / "fetched.whl"
    contents = {
        "ml-100k.inter": b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n5\t6\t3\t7\n",
        "ml-100k.item": b"item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n6\tA\t1999\tB C\n",
        "ml-100k.user": b"user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n5\t20\tM\tx\t1\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"recbole/dataset_example/ml-100k/{name}", content)
    monkeypatch.setattr(download, "_FILES", {name: download._sha256(content) for name, content in contents.items()})
    fetched = []
    monkeypatch.setattr(download, "_fetch", lambda folder: fetched.append(folder) or path)
    return fetched


def test_the_cache_is_filled_once_and_mended(wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert movielens_100k().items.to_pylist() == [{"id": 6, "title": "A", "year": 1999, "genres": ["B", "C"]}]
    folder = tmp_path / "xdg" / "mcfast" / "movielens-100k"
    assert sorted(path.name for path in folder.iterdir()) == ["ml-100k.inter", "ml-100k.item", "ml-100k.user"]
    movielens_100k()
    assert len(wheel) == 1
    (folder / "ml-100k.inter").write_text("altered")
    assert movielens_100k().triples.times.tolist() == [7]
    assert len(wheel) == 2
    assert len(movielens_100k(cache=tmp_path / "other").triples) == 1
    assert len(wheel) == 3


def test_an_altered_file_never_enters_the_cache(wheel, tmp_path, monkeypatch):
    monkeypatch.setitem(download._FILES, "ml-100k.item", "0" * 64)
    with pytest.raises(OSError, match=r"came altered: the SHA-256 of ml-100k\.item.*movielens\(path\)"):
        movielens_100k(cache=tmp_path / "cache")
    assert not (tmp_path / "cache" / "movielens-100k" / "ml-100k.item").exists()


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(OSError, match=r"not be fetched through pip \(.*\): .*movielens\(path\)$") as caught:
        movielens_100k(cache=tmp_path)
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)


def test_no_pip(tmp_path, monkeypatch):
    without = [sys.executable, "-c", "import sys; sys.exit(f'{sys.executable}: No module named pip')"]
    run = subprocess.run
    monkeypatch.setattr(download.subprocess, "run", lambda command, **options: run(without, **options))
    with pytest.raises(OSError, match=r"No module named pip\): unpack .*movielens\(path\)$"):
        movielens_100k(cache=tmp_path)
