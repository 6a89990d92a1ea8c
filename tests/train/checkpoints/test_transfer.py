"""Transfer learning: partial loading by name and shape, freeze-D, and both in a run that is interrupted."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans
import tiny_recipe
import tiny_runs
from flax import serialization, traverse_util

from flaxgan.cli import inspect
from flaxgan.config import DataConfig
from flaxgan.train.checkpoints import store, transfer
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation
from flaxgan.train.step import binding, training_setup

FROZEN = ("b8/fromrgb", "b8/conv0")


def _built(num_classes: int = 2, resolution: int = 8, **network) -> training_setup.TrainingSetup:
    config = tiny_recipe.get_config()
    data = DataConfig(resolution=resolution, num_classes=num_classes)
    config = small_gans.config(network={**config.network, **network}, data=data)
    return binding.build(config, (resolution, resolution, 3))


def _random_state(built: training_setup.TrainingSetup, seed: int):
    """A state with random arrays everywhere, without compilation."""
    rng = np.random.default_rng(seed)
    random = lambda x: jnp.asarray(
        rng.integers(1, 9, x.shape) if x.dtype == "int32" else rng.normal(size=x.shape), x.dtype
    )
    return jax.tree.map(random, compilation.abstract_state(built, device_mesh.data_mesh()))


def _flat(state) -> dict[str, np.ndarray]:
    """Arrays of the networks by full name."""
    return transfer._networks(serialization.to_state_dict(state))


def _saved(state, built: training_setup.TrainingSetup, folder):
    checkpoints = Checkpoints(folder / "checkpoints", keep=1)
    checkpoints.save(state, built.config)
    checkpoints.close()
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """(run folder, state) of an 8x8 run with two classes."""
    built = _built()
    state = _random_state(built, seed=1)
    return _saved(state, built, tmp_path_factory.mktemp("source")), state


def test_equal_networks_are_loaded_completely_and_nothing_else_is(source):
    folder, old = source
    new = _random_state(_built(), seed=2)
    loaded, report = transfer.load_networks(new, folder)
    for part in ("g", "d", "ema"):
        for kind in ("params", "variables"):
            jax.tree.map(
                np.testing.assert_array_equal, getattr(getattr(loaded, part), kind), getattr(getattr(old, part), kind)
            )
    restored = loaded.replace(g=new.g, d=new.d, ema=new.ema)
    jax.tree.map(np.testing.assert_array_equal, restored, new)
    for part in ("g", "d"):
        found, fresh = (getattr(state, part).opt_state for state in (loaded, new))
        jax.tree.map(np.testing.assert_array_equal, found, fresh)
    assert set(report.loaded) == set(_flat(old)) and not report.skipped and not report.initialized


def test_a_higher_resolution_starts_from_the_blocks_of_the_lower_one(source):
    folder, old = source
    new = _random_state(_built(resolution=16), seed=2)
    loaded, report = transfer.load_networks(new, folder)
    old, new, loaded = map(_flat, (old, new, loaded))
    # The discriminator's images enter at another block.
    gone = {"d/params/b8/fromrgb/weight", "d/params/b8/fromrgb/bias"}
    assert report.skipped == dict.fromkeys(gone, "not in this run's networks")
    assert set(report.loaded) == set(old) - gone
    assert set(report.initialized) == {name for name in new if "/b16/" in name} == set(new) - set(report.loaded)
    for name, array in loaded.items():
        np.testing.assert_array_equal(array, (old if name in report.loaded else new)[name])


def test_classes_are_new_where_there_were_none(tmp_path, source):
    folder, old = source
    new = _random_state(_built(num_classes=0), seed=2)
    loaded, report = transfer.load_networks(new, folder)
    gone = {"g/params/mapping/embed/weight", "ema/params/mapping/embed/bias", "d/params/mapping/fc0/weight"}
    assert gone <= set(report.skipped)
    assert report.skipped["g/params/mapping/fc0/weight"] == "(16, 8) there, (8, 8) here"
    assert report.skipped["d/params/b4/out/bias"] == "(8,) there, (1,) here"
    expected = {f"{part}/params/mapping/fc0/weight" for part in ("g", "ema")}
    assert set(report.initialized) == expected | {"d/params/b4/out/weight", "d/params/b4/out/bias"}
    np.testing.assert_array_equal(loaded.g.params["mapping"]["fc0"]["weight"], new.g.params["mapping"]["fc0"]["weight"])
    np.testing.assert_array_equal(loaded.d.params["b4"]["fc"]["weight"], old.d.params["b4"]["fc"]["weight"])


def test_report_names_what_is_not_loaded(source):
    folder, _ = source
    target = compilation.abstract_state(_built(num_classes=0), device_mesh.data_mesh())
    report = transfer.check_networks(target, folder)
    lines = list(report.lines())
    counts = [len(report.loaded), len(report.skipped), len(report.initialized)]
    assert lines[0] == "{} arrays loaded, {} skipped, {} new".format(*counts)
    num_params = len(jax.tree.leaves(target.d.params))
    assert f"  loaded: {num_params - 2} of {num_params} arrays of d/params" in lines
    assert "  skipped: d/params/b4/out/bias ((8,) there, (1,) here)" in lines
    assert "  newly initialized: d/params/b4/out/bias" in lines
    assert len([line for line in lines if "skipped:" in line]) == counts[1]
    assert len([line for line in lines if "newly" in line]) == counts[2]


def test_shapes_alone_tell_what_will_be_loaded(source):
    folder, _ = source
    built = _built(channel_max=4)
    _, report = transfer.load_networks(_random_state(built, seed=2), folder)
    assert report == transfer.check_networks(compilation.abstract_state(built, device_mesh.data_mesh()), folder)
    assert report.loaded and report.skipped and report.initialized


def test_a_run_of_which_nothing_fits_is_refused(tmp_path):
    other = small_gans.setup_of()
    folder = _saved(small_gans.init(other), other, tmp_path)
    target = compilation.abstract_state(_built(), device_mesh.data_mesh())
    with pytest.raises(ValueError, match=r"config.init_from: found .*checkpoints/0, allowed: a run in which at least"):
        transfer.check_networks(target, folder)


@pytest.mark.parametrize("name", ["missing", "empty", "garbage"])
def test_a_path_without_a_checkpoint_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage" / "3").mkdir(parents=True)
    target = compilation.abstract_state(_built(), device_mesh.data_mesh())
    with pytest.raises(ValueError, match=rf"config.init_from: .*{name}.*; allowed: "):
        transfer.check_networks(target, tmp_path / name)


@pytest.fixture(scope="module")
def transferred(tiny_run, tmp_path_factory):
    """(run, source folder): a run that starts from another one's networks with two layers of D frozen."""
    folder = tmp_path_factory.mktemp("transferred")
    shutil.copytree(tiny_run.workdir, folder / "source")
    overrides = [f"--config.init_from={folder / 'source'}", f"--config.freeze_d_layers={len(FROZEN)}"]
    arguments = tiny_runs.command("rgb", folder / "run", tiny_run.data, *overrides)
    outcome = tiny_runs.train(arguments)
    assert outcome.code == 0, outcome.err
    return tiny_runs.TinyRun(folder / "run", tiny_run.data, arguments, outcome), folder / "source"


def _read(path):
    return store.read_all(store.locate(path))


def test_training_says_what_it_starts_from(transferred):
    run, source = transferred
    lines = run.outcome.out.splitlines()
    at = lines.index(f"starting from {source}")
    assert lines[at + 1].endswith(" arrays loaded, 0 skipped, 0 new")
    assert lines[at + 2].startswith("  loaded: ") and lines[at + 2].endswith(" arrays of g/params")


def test_frozen_layers_stay_to_the_bit_and_all_others_move(transferred):
    run, source = transferred
    old, new = (traverse_util.flatten_dict(_read(path)["d"]["params"], sep="/") for path in (source, run.workdir))
    frozen = {name for name in old if name.startswith(tuple(f"{layer}/" for layer in FROZEN))}
    assert len(frozen) == 4
    for name in old:
        assert (old[name].tobytes() == new[name].tobytes()) == (name in frozen), name


def test_a_resumed_run_goes_on_from_its_own_checkpoint_and_needs_the_other_run_no_more(transferred, tmp_path):
    run, source = transferred
    digest = inspect.describe(run.workdir)["digest"]
    source.rename(tmp_path / "moved")
    shutil.rmtree(run.workdir / "checkpoints" / str(tiny_recipe.STEPS))
    outcome = tiny_runs.train(run.arguments)
    (tmp_path / "moved").rename(source)
    assert outcome.code == 0, outcome.err
    assert f"resuming {run.workdir} at step 6" in outcome.out and "starting from" not in outcome.out
    assert inspect.describe(run.workdir)["digest"] == digest


def test_before_the_first_checkpoint_the_other_run_must_be_there(transferred, tmp_path):
    run, source = transferred
    shutil.copytree(run.workdir, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    arguments = [argument.replace(str(run.workdir), str(tmp_path / "run")) for argument in run.arguments]
    source.rename(tmp_path / "moved")
    outcome = tiny_runs.train(arguments)
    (tmp_path / "moved").rename(source)
    assert outcome.code == 1
    assert (
        outcome.err
        == f"error: config.init_from: {source}: no such file or folder; allowed: a run folder or a checkpoint in it\n"
    )


def test_networks_that_do_not_fit_are_refused_before_a_folder_is_made(tiny_run, tmp_path):
    other = small_gans.setup_of()
    folder = _saved(small_gans.init(other), other, tmp_path / "other")
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", tiny_run.data, f"--config.init_from={folder}"))
    assert outcome.code == 1 and outcome.err.startswith("error: config.init_from: found ")
    assert not (tmp_path / "run").exists()


def test_more_frozen_layers_than_there_are_are_refused_by_name(tiny_run, tmp_path):
    arguments = tiny_runs.command("rgb", tmp_path / "run", tiny_run.data, "--config.freeze_d_layers=5")
    outcome = tiny_runs.train(arguments)
    assert outcome.code == 1
    assert outcome.err == "error: config.freeze_d_layers: found 5, allowed: 0 to 4, the layers of this discriminator\n"
