import pathlib

import jax
import numpy as np
import pytest
import small_gans

from flaxgan.config import AugmentConfig, Config, DataConfig
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation
from flaxgan.train.step import binding, training_setup

PLATFORMS = ("tpu", "cuda")


@pytest.fixture(scope="module")
def everything() -> training_setup.TrainingSetup:
    """StyleGAN2 with every phase and option that changes a program, at a size that is not square."""
    config = Config(
        network={
            "name": "stylegan2",
            "z_dim": 8,
            "w_dim": 8,
            "channel_base": 64,
            "channel_max": 8,
            "mapping_layers": 1,
            "d_mapping_layers": 1,
            "dtype": "bfloat16",
            "remat": True,
        },
        data=DataConfig(source="synthetic", resolution=(8, 12), channels=4, num_classes=3),
        batch_size=16,
        g_regularizers={"path_length": {"interval": 4, "batch_shrink": 2}},
        d_regularizers={"r1": {"interval": 16}},
        augment=AugmentConfig(policy="ada", preset="bgc"),
        style_mixing_probability=0.9,
        accumulation_rounds=2,
    )
    constrain = device_mesh.constrain_batch(device_mesh.data_mesh())
    return binding.build(binding.complete(config), (8, 12, 4), constrain=constrain)


@pytest.mark.parametrize("index", range(5))
def test_every_program_lowers_for_machines_that_are_not_here(everything, index):
    """Without the device or its compiler. No key is used twice, either."""
    programs = compilation.lower_all(everything, device_mesh.data_mesh(), lowering_platforms=PLATFORMS)
    names = [("g_main", 1, 1), ("g_path_length", 4, 1), ("d_main", 1, 1), ("d_r1", 16, 1), ("advance", 1, 1)]
    assert list(programs) == names
    with jax.debug_key_reuse(True):
        text = programs[names[index]]().as_text()
    assert "func.func public @main" in text
    # The state is given up to the program.
    assert "jax.buffer_donor" in text or "tf.aliasing_output" in text


def test_abstract_state_is_that_of_initialization():
    built, mesh = small_gans.setup_of(), device_mesh.data_mesh()
    abstract, state = compilation.abstract_state(built, mesh), compilation.init_state(built, mesh)
    assert jax.tree.structure(abstract) == jax.tree.structure(state)
    described = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype, x.sharding), tree)
    assert described(abstract) == described(state)


def test_initial_p_is_that_of_the_config():
    built = small_gans.setup_of(augment=AugmentConfig(policy="fixed", p=0.25))
    assert compilation.init_state(built, device_mesh.data_mesh()).ada.p == 0.25


def test_programs_are_compiled_aloud_and_run_in_order():
    built, mesh, said = small_gans.setup_of(style=False), device_mesh.data_mesh(), []
    programs = compilation.compile_all(built, mesh, say=said.append)
    assert [(program.name, program.interval) for program in programs] == [("g_main", 1), ("d_main", 1), ("advance", 1)]
    assert said[:1] == ["compiling g_main ..."] and said[1].startswith("compiled g_main in ") and len(said) == 6
    state, batch = compilation.init_state(built, mesh), jax.device_put(small_gans.batch(), device_mesh.batched(mesh))
    before, all_finite = state, np.bool_(True)
    for program in programs[:-1]:
        state, all_finite, scalars = program.run(state, all_finite, batch, np.int32(0))
        assert all_finite and scalars["loss"].shape == scalars["gradient_norm"].shape == (1,)
    state = programs[-1].run(state, all_finite)
    assert state.step == 1 and state.images_seen == small_gans.BATCH_SIZE
    assert before.d.params["last"]["kernel"].is_deleted()


def test_cache_is_where_the_environment_says_or_at_home(monkeypatch):
    chosen = jax.config.jax_compilation_cache_dir
    compilation.use_cache()
    assert jax.config.jax_compilation_cache_dir == chosen
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        compilation.use_cache()
        assert jax.config.jax_compilation_cache_dir == str(pathlib.Path.home() / ".cache" / "flaxgan" / "jax")
    finally:
        jax.config.update("jax_compilation_cache_dir", chosen)
