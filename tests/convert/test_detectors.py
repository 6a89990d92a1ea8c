"""Detector weights from files: the tree, and what is said of files that are not the detector's."""

import hashlib
import re

import numpy as np
import pytest
from torch_files import legacy_file, zip_file

from flaxgan.convert.detectors import detector_params, read_detector

SHAPES = {"conv.weight": (4, 3, 2, 1), "conv.bn.bias": (4,), "fc.weight": (5, 4), "fc.bias": (5,)}
STATE = {name: np.random.default_rng(0).normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
SOURCE = {"shapes": SHAPES, "url": "https://example.org/weights.pth", "sha256": "0" * 64}


def test_the_tree_has_our_layout():
    params = detector_params(STATE, shapes=SHAPES)
    assert params.keys() == {"conv", "fc"} and params["conv"].keys() == {"weight", "bn"}
    np.testing.assert_array_equal(params["conv"]["weight"], STATE["conv.weight"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(params["conv"]["bn"]["bias"], STATE["conv.bn.bias"])
    np.testing.assert_array_equal(params["fc"]["weight"], STATE["fc.weight"].T)
    assert params["fc"]["weight"].flags.c_contiguous


def test_weights_become_float32():
    params = detector_params({name: array.astype(np.float64) for name, array in STATE.items()}, shapes=SHAPES)
    assert params["fc"]["bias"].dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fc.bias": None}, "missing (1): fc.bias"),
        ({"aux.weight": np.zeros(1), "b": np.zeros(1)}, "unexpected (2): aux.weight, b"),
        ({"fc.weight": np.zeros((1000, 4))}, "wrong shape (1): fc.weight [1000, 4], not [5, 4]"),
        ({"fc.bias": np.zeros(5, np.int8)}, "not float (1): fc.bias"),
        ({"\x1b[31m": np.zeros(1)}, "unexpected (1): \\x1b[31m"),
        ({"fc.bias": None, "head.bias": np.zeros(5)}, "missing (1): fc.bias; unexpected (1): head.bias"),
        (dict.fromkeys(SHAPES), "missing (4): conv.weight, conv.bn.bias, fc.weight, fc.bias"),
        ({f"x{i}": np.zeros(1) for i in range(9)}, "unexpected (9): x0, x1, x2, x3, x4, ..."),
    ],
)
def test_names_what_does_not_fit(changes, message):
    state = {name: array for name, array in (STATE | changes).items() if array is not None}
    with pytest.raises(ValueError, match=re.escape(f"not the detector's tensors: {message}") + "$"):
        detector_params(state, shapes=SHAPES)


def test_some_names_may_be_ignored():
    state = STATE | {"bn.num_batches_tracked": np.asarray(3)}
    params = detector_params(state, shapes=SHAPES, ignored=["*.num_batches_tracked"])
    assert params.keys() == {"conv", "fc"}


@pytest.mark.parametrize("write", [zip_file, legacy_file])
def test_reads_a_file_and_records_its_hash(tmp_path, write):
    path = tmp_path / "weights.pth"
    path.write_bytes(write(STATE))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    weights = read_detector(path, **SOURCE)
    np.testing.assert_array_equal(weights.params["fc"]["bias"], STATE["fc.bias"])
    assert weights.sha256 == digest and not weights.is_published_file
    assert read_detector(path, **(SOURCE | {"sha256": digest})).is_published_file


def test_a_missing_file_is_said_with_its_address(tmp_path):
    path = tmp_path / "weights.pth"
    with pytest.raises(FileNotFoundError, match="weights.pth: no such file; .*example.org.*0000"):
        read_detector(path, **SOURCE)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_detector(tmp_path, **SOURCE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<html>", "unknown file format"),
        (zip_file(STATE)[:-30], "damaged"),
        (legacy_file(STATE)[:-3], "has"),
        (zip_file({"fc.bias": STATE["fc.bias"]}), "missing"),
    ],
)
def test_a_wrong_file_is_said_with_its_hash_and_address(tmp_path, data, message):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    found = hashlib.sha256(data).hexdigest()
    with pytest.raises(ValueError, match=rf"weights\.pth: .*{message}.*its sha256 is {found}, .*example\.org"):
        read_detector(path, **SOURCE)
