import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest

from flaxgan.data.formats import manifest
from flaxgan.data.formats.manifest import Manifest, Shard

MANIFEST = Manifest(
    count=3,
    shape=(4, 6, 3),
    labels="classes",
    class_names=("cat", "dog"),
    crop="center",
    resize="lanczos",
    source="folder photos",
    skipped=("photos/7.png: the file is empty",),
    made_by="flaxgan 1, Pillow 2",
    sha256="ab",
    shards=(Shard("images-00000.array_record", 3, 1000),),
)


def test_manifest_survives_its_file():
    assert manifest.from_json(MANIFEST.to_json(), "m.json") == MANIFEST
    bare = dataclasses.replace(MANIFEST, labels="none", class_names=(), skipped=(), shards=())
    assert manifest.from_json(bare.to_json(), "m.json") == bare


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"format": "other"}', b'{"name": "an app"}', b"[" * 100_000]
)
def test_files_of_other_programs_are_no_manifests(data):
    assert not manifest.is_manifest(data)
    with pytest.raises(ValueError, match=r"m\.json: not a manifest that `flaxgan dataset` has written"):
        manifest.from_json(data, "m.json")


@pytest.mark.parametrize(
    "name, value",
    [
        ("count", -1),
        ("count", True),
        ("count", "3"),
        ("shape", [4, 6]),
        ("shape", [4, 0, 3]),
        ("shape", None),
        ("labels", "numbers"),
        ("class_names", [1, 2]),
        ("class_names", "cat"),
        ("skipped", [None]),
        ("sha256", 3),
        ("shards", [{}]),
        ("shards", [{"name": "../../etc/passwd", "count": 1, "num_bytes": 1}]),
        ("shards", [{"name": "a", "count": 1, "num_bytes": -1}]),
        ("shards", {"name": "a"}),
    ],
)
def test_damaged_field_is_named(name, value):
    fields = json.loads(MANIFEST.to_json()) | {name: value}
    with pytest.raises(ValueError, match=rf"m\.json: the field '{name}' is damaged: found {re.escape(repr(value))}$"):
        manifest.from_json(json.dumps(fields).encode(), "m.json")
    del fields[name]
    with pytest.raises(ValueError, match=rf"m\.json: the field '{name}' is missing"):
        manifest.from_json(json.dumps(fields).encode(), "m.json")


def test_newer_version_is_refused():
    data = MANIFEST.to_json().replace(b"flaxgan images 1", b"flaxgan images 2")
    with pytest.raises(ValueError, match=r"m\.json: of a newer version"):
        manifest.from_json(data, "m.json")


def test_digest_is_that_of_the_lines_it_says():
    lines = b'["a.png",3,"00"]\n["b.png",[0.5,1.0],"11"]\n["c.png",null,"22"]\n'
    rows = [("a.png", 3, "00"), ("b.png", [0.5, 1.0], "11"), ("c.png", None, "22")]
    assert manifest.content_digest(rows) == hashlib.sha256(lines).hexdigest()


def test_labels_as_json_has_them():
    assert manifest.json_label(None, 0) is None
    label = manifest.json_label(np.array([7, 8], np.int32), 1)
    assert label == 8 and type(label) is int
    assert manifest.json_label(np.array([[0.5, 2]], np.float32), 0) == [0.5, 2.0]
