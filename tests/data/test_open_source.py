import pickle
import subprocess
import sys

import numpy as np
import pytest

from flaxgan import lookup
from flaxgan.data import open_source, sources

UNSET = {"resolution": None, "channels": None, "num_classes": None}


def test_unknown_source_names_the_field_and_the_choices():
    with pytest.raises(
        ValueError, match=r"config\.data\.source: found 'digit', allowed: .*digits, folder, synthetic.* zip"
    ):
        open_source("digit", "", **UNSET)


@pytest.mark.parametrize("name", lookup.module_names(sources))
@pytest.mark.parametrize(
    "field, value",
    [
        ("resolution", 0),
        ("resolution", -8),
        ("resolution", (8,)),
        ("resolution", (8, 0)),
        ("resolution", "8x8"),
        ("resolution", 8.5),
        ("channels", 0),
        ("channels", -1),
        ("num_classes", -1),
        ("num_classes", 1.5),
    ],
)
def test_impossible_field_is_refused_before_any_file_is_read(name, field, value):
    path = "" if name in ("digits", "synthetic") else "/no/such/path"
    with pytest.raises(
        ValueError, match=rf"config\.data\.{field}: found {value!r}, allowed".replace("(", r"\(").replace(")", r"\)")
    ):
        open_source(name, path, **{**UNSET, "resolution": 8, field: value})


def test_every_source_is_a_sequence_that_survives_pickling(opened, make_images):
    contents, pixels = make_images(3)
    for source in (opened(contents), open_source("synthetic", "", **{**UNSET, "resolution": 8, "num_classes": 2})):
        copy = pickle.loads(pickle.dumps(source))
        assert len(copy) == len(source)
        np.testing.assert_array_equal(copy[1][0], source[1][0])
        assert copy.image_shape == source.image_shape == source[0][0].shape
        assert copy[1][1] == source[1][1]


def test_importing_the_package_loads_no_data_library():
    code = "import sys, flaxgan; print([m for m in ('PIL', 'grain', 'sklearn', 'jax') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
