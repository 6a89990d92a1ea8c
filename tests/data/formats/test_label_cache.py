import numpy as np
import pytest

from flaxgan.data.formats import label_cache

VALUES = np.arange(5, dtype=np.int32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "flaxgan" / "labels"


def compute():
    return VALUES


def never():
    raise AssertionError("collected again")


def test_labels_are_collected_once(cache):
    np.testing.assert_array_equal(label_cache.cached("a", compute), VALUES)
    kept = label_cache.cached("a", never)
    np.testing.assert_array_equal(kept, VALUES)
    assert kept.dtype == np.int32 and [path.suffix for path in cache.iterdir()] == [".npy"]


def test_another_set_has_labels_of_its_own():
    label_cache.cached("a", compute)
    assert len(label_cache.cached("b", lambda: VALUES[:2])) == 2


def flipped(data: bytes) -> bytes:
    """One bit of the values; the file can be read all the same."""
    return data[:-12] + bytes([data[-12] ^ 1]) + data[-11:]


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda _: b"\x93NUMPY", lambda _: b"PK\x03\x04" + bytes(30), flipped]
)
def test_damaged_file_is_replaced(cache, damage):
    label_cache.cached("a", compute)
    (file,) = cache.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(label_cache.cached("a", compute), VALUES)
    np.testing.assert_array_equal(label_cache.cached("a", never), VALUES)


def test_labels_are_given_where_they_cannot_be_kept(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        np.testing.assert_array_equal(label_cache.cached("a", compute), VALUES)


def test_nothing_is_left_beside_a_folder_in_the_place_of_the_file(cache):
    label_cache.cached("a", compute)
    (file,) = cache.iterdir()
    file.unlink()
    file.mkdir()
    np.testing.assert_array_equal(label_cache.cached("a", compute), VALUES)
    assert list(cache.iterdir()) == [file]
