import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import tiny_runs
from jax.sharding import PartitionSpec

from flaxgan.train.checkpoints import store
from flaxgan.train.distributed import device_mesh


def test_mesh_is_all_devices_in_one_axis():
    mesh = device_mesh.data_mesh()
    assert mesh.axis_names == ("data",) and mesh.size == jax.device_count()
    assert device_mesh.replicated(mesh).spec == PartitionSpec()
    assert device_mesh.batched(mesh).spec == PartitionSpec("data")


def test_constraint_changes_no_value_and_takes_keys_and_scalars():
    constrain = jax.jit(device_mesh.constrain_batch(device_mesh.data_mesh()))
    tree = {"images": jnp.ones((8, 3)), "p": jnp.float32(2), "key": jax.random.key(0), "none": None}
    found = constrain(tree)
    np.testing.assert_array_equal(found["images"], tree["images"])
    assert found["p"] == 2 and found["key"] == tree["key"] and found["none"] is None


def test_eight_devices_continue_a_run_of_one_with_the_same_losses(tiny_run, tmp_path):
    """A checkpoint of one device, every phase on eight (one image each), and their checkpoint read by one again.

    The stddev groups are of four images, so that each spans four devices.
    """
    workdir = tmp_path / "run"
    shutil.copytree(tiny_run.workdir, workdir)
    shutil.rmtree(workdir / "checkpoints" / "12")
    outcome = tiny_runs.train_elsewhere(tiny_runs.command("rgb", workdir, tiny_run.data), devices=8)
    assert outcome.code == 0, outcome.err
    assert "at step 6" in outcome.out and "devices: 8 cpu" in outcome.out

    found, expected = tiny_runs.read_lines(workdir / "log.jsonl"), tiny_run.log()
    assert [line["step"] for line in found] == [2, 4, 6, 8, 10, 12]
    for one, eight in zip(expected, found, strict=True):
        assert one["losses"].keys() == eight["losses"].keys()
        for name, loss in one["losses"].items():
            np.testing.assert_allclose(eight["losses"][name], loss, rtol=1e-4, err_msg=json.dumps([one, eight]))

    one, eight = (store.read_all(store.locate(path)) for path in (tiny_run.workdir, workdir))
    for name in ("step", "images_seen"):
        assert one[name] == eight[name]
    pl_means = [found["regularizers"]["g"]["path_length"]["pl_mean"] for found in (eight, one)]
    np.testing.assert_allclose(*pl_means, rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3), eight["ema"], one["ema"])


def test_saved_on_any_number_of_devices_a_run_continues_on_any_other(tmp_path):
    """1, 2, 4 and 8, each to each, in one process with eight devices."""
    program = [sys.executable, str(pathlib.Path(__file__).parents[1] / "elastic.py"), str(tmp_path)]
    folders = [str(tiny_runs.ROOT), str(tiny_runs.ROOT / "tests" / "train")]
    environment = {**tiny_runs.environment(devices=8), "PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    losses = json.loads(done.stdout)
    assert len(losses["found"]) == 16 and len(losses["whole"]) == 16
    for name, found in losses["found"].items():
        np.testing.assert_allclose(found, losses["whole"], rtol=2e-5, err_msg=name)
