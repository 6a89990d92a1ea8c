import collections

import jax
import pytest
import small_gans
from etils import epath

from flaxgan.train.checkpoints.retention import Best, Retention
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation
from flaxgan.train.run import disk_space

RULE = Retention(2, best=Best("frechet", "min"))


@pytest.fixture(scope="module")
def state():
    return compilation.abstract_state(small_gans.setup_of(), device_mesh.data_mesh())


def _with_free(monkeypatch, size: int) -> list[str]:
    """What is asked for its free space, which is said to be of this size."""
    asked = []
    usage = collections.namedtuple("usage", "free, total")
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: asked.append(path) or usage(size, 2**60))
    return asked


def test_size_is_that_of_all_arrays(state):
    arrays = jax.tree.leaves(small_gans.init(small_gans.setup_of()))
    assert disk_space.checkpoint_bytes(state) == sum(x.nbytes for x in arrays) > 1000


def test_a_disk_without_room_for_a_checkpoint_is_refused(state, monkeypatch, tmp_path):
    asked = _with_free(monkeypatch, 1000)
    with pytest.raises(
        ValueError, match="--workdir: found 9.31e-07 GiB free on the disk of .*, allowed: .* GiB or more"
    ):
        disk_space.require_space(epath.Path(tmp_path / "new" / "run"), state, RULE)
    assert asked == [str(tmp_path)]


def test_too_little_room_for_what_is_kept_is_a_warning_at_the_start(state, monkeypatch, tmp_path, capsys):
    size = disk_space.checkpoint_bytes(state)
    _with_free(monkeypatch, 4 * size)
    disk_space.require_space(epath.Path(tmp_path), state, RULE)
    assert capsys.readouterr().out == ""
    _with_free(monkeypatch, 4 * size - 1)
    disk_space.require_space(epath.Path(tmp_path), state, RULE)
    assert capsys.readouterr().out.startswith("warning: ")
    (tmp_path / "checkpoints").mkdir()
    disk_space.require_space(epath.Path(tmp_path), state, RULE)
    assert capsys.readouterr().out == ""


def test_remote_folders_are_not_looked_at(state, monkeypatch):
    asked = _with_free(monkeypatch, 0)
    disk_space.require_space(epath.Path("gs://bucket/run"), state, RULE)
    assert asked == []
