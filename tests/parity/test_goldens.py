"""Every golden file has a test module, and the harness lets nothing pass unseen."""

import json

import beyond_primary
import goldens
import numpy as np
import pytest


def test_the_folder_has_golden_files():
    assert goldens.golden_files(), f"no .npz file in {goldens.FOLDER}"


@pytest.mark.parametrize("path", goldens.golden_files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_file_has_a_test_module(path):
    assert goldens.owner(path), f"no test module in {goldens.HERE} takes {path}; see the names in goldens.py"


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def _doubling(case):
    case.compare("y", case.input("x") * case.option("factor"))


def _run(folder, function=_doubling, *, arrays=None, options=None, name="double_0", precision="float32"):
    """Runs one made-up case; returns the account of it."""
    options = {"factor": 2, "title": "any"} if options is None else options
    arrays = {"x": X, "y": 2 * X} if arrays is None else arrays
    (folder / "stylegan2").mkdir()
    meta = np.frombuffer(json.dumps({name: options}).encode(), np.uint8)
    arrays = {f"{name}/{key}": value for key, value in arrays.items()}
    np.savez(folder / "stylegan2" / "ops.npz", meta_json=meta, **arrays)
    suite = goldens.Suite("test_stylegan2_ops", float32=1e-5, float64=5e-7, folder=folder)
    suite.kind("double_*", inputs=["x"], notes=["title"])(function)
    ids = {case_id.precision: case_id for case_id in suite.case_ids()}
    account = {}
    try:
        suite.run(ids[precision], account.__setitem__)
    finally:
        account = account.get(goldens.PROPERTY)
    return account


def test_account_of_a_case(tmp_path):
    file, precision, case, arrays_used, errors = _run(tmp_path)
    assert (file, precision, case, arrays_used) == ("stylegan2/ops.npz", "float32", "double_0", 2)
    assert errors == [("y", 0.0, 0.0)]


@pytest.mark.parametrize("precision", goldens.PRECISIONS)
def test_inputs_have_the_precision_of_the_run(tmp_path, precision):
    def function(case):
        assert case.input("x").dtype == precision
        _doubling(case)

    _run(tmp_path, function, precision=precision)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "triple_0"}, "no kind"),
        ({"arrays": {"x": X, "y": 2 * X, "y2": X}}, "y2 was not compared"),
        ({"options": {"factor": 2, "clamp": 3}}, "option 'clamp' was not read"),
        ({"options": {}}, "no option 'factor'"),
        ({"arrays": {"x": X, "y": 2 * X + 1e-3}}, "y is off by"),
        ({"arrays": {"x": X, "y": X.T}}, "y has shape"),
        ({"arrays": {"x": X * np.nan, "y": X}}, "y is off by nan"),
        ({"function": lambda case: case.option("factor")}, "x was not read; y was not compared; nothing was compared"),
        ({"function": lambda case: case.input("y")}, "not declared"),
        ({"function": lambda case: case.compare("x", X)}, "declared as an input"),
        ({"function": lambda case: case.check("the sky is green", False)}, "the sky is green: does not hold"),
    ],
)
def test_what_fails(tmp_path, changes, message):
    with pytest.raises(AssertionError, match=message):
        _run(tmp_path, **changes)


def test_tolerances_are_relative_to_the_largest_value_unless_a_scale_is_given(tmp_path):
    def function(case):
        x, factor = case.input("x"), case.option("factor")
        case.compare("y", x * factor + 9e-5)  # The largest golden value is 10.
        case.compare("y", x * factor + 9e-5, tolerance={"float32": 1e-4, "float64": 1e-9}, scale=1.0)
        case.compare("y", x * factor + 9e-5, tolerance=np.full((2, 3), 1e-4), scale=1.0)

    _run(tmp_path, function)


def test_an_absolute_tolerance_is_one(tmp_path):
    def function(case):
        case.compare("y", case.input("x") * case.option("factor") + 9e-5, scale=1.0)

    with pytest.raises(AssertionError, match=r"y is off by 9\.\d+ tolerances"):
        _run(tmp_path, function)


def test_packed_arrays_are_taken_apart(tmp_path):
    meta = {"_pack": {"net/sd": [["weight", [2, 3]], ["bias", []]]}, "net": {}}
    packed = np.arange(7, dtype=np.float32)
    meta_json = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(tmp_path / "f.npz", meta_json=meta_json, **{"net/sd": packed, "net/x": X})
    arrays, options = goldens.load(tmp_path / "f.npz")
    assert set(arrays) == {"net/sd/weight", "net/sd/bias", "net/x"}
    np.testing.assert_array_equal(arrays["net/sd/weight"], packed[:6].reshape(2, 3))
    assert arrays["net/sd/bias"] == 6
    assert options == {"net": {}}


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("stylegan2/ops.npz", "test_stylegan2_ops"),
        ("ops.npz", "test_stylegan2_ops"),
        ("stylegan2/ops_more.npz", "test_stylegan2_ops"),
        ("stylegan2/opsmore.npz", None),
        ("stylegan2/surprise.npz", None),
        ("families/surprise.npz", None),
    ],
)
def test_owner_of_a_file(tmp_path, name, module):
    assert goldens.owner(tmp_path / name, tmp_path) == module


@pytest.mark.parametrize("row", beyond_primary.TABLE, ids=lambda row: f"{row.file}-{row.case}-{row.key}")
def test_every_row_of_what_is_beyond_the_primary_references_names_values(row):
    """A row that excuses nothing hides a mistake. The project's own files are read, whatever FLAXGAN_GOLDENS says."""
    path = goldens.HERE.parent / "goldens" / "families" / f"{row.file}.npz"
    keys = [full_key.partition("/") for full_key in goldens.load(path)[0]]
    assert any(beyond_primary.names(row, path.stem, case, key) for case, _, key in keys)
    assert len(row.reason) > 20
