import dataclasses

import jax
import numpy as np
import pytest
import small_gans
import tiny_runs

from flaxgan.train.programs import dry_run
from flaxgan.train.recipes.loader import load_recipe


def test_layers_have_path_counts_and_output_in_the_order_of_their_making():
    gan = small_gans.gan()
    images = jax.ShapeDtypeStruct((1, *gan.image_shape), "float32")
    assert dry_run.layers(gan.discriminator, images) == [
        ("first", 16 * 8 + 8, 0, "[1, 8]"),
        ("last", 8 + 1, 0, "[1, 1]"),
    ]


def test_variables_that_are_not_trained_are_counted_apart():
    gan = small_gans.gan(style=False)
    rows = dry_run.layers(gan.generator, jax.ShapeDtypeStruct((1, 5), "float32"))
    assert sum(row[1] for row in rows) == 5 * 8 + 8 + 8 * 16 + 16
    assert sum(row[2] for row in rows) == 1


def _shown(config, capsys, *, compile_too: bool = False) -> str:
    dry_run.show(config, compile_too=compile_too)
    return capsys.readouterr().out


def test_table_shows_layers_totals_and_the_plan_of_the_run(capsys, tiny_run):
    config = load_recipe(f"{tiny_runs.RECIPE}:rgb")
    sized = dataclasses.replace(config, data=dataclasses.replace(config.data, resolution=8))
    printed = _shown(sized, capsys)
    inspected = tiny_runs.flaxgan("inspect", tiny_run.workdir).out.replace(",", "").split()
    totals = [line.split()[1].replace(",", "") for line in printed.splitlines() if line.startswith("total")]
    assert totals == [inspected[inspected.index(f"{network}_parameters") + 1] for network in "gd"]
    for text in (
        "synthesis/b8/conv1",
        "[1, 8, 8, 8]",
        "batch      8, ",
        "steps      12 for 0.096 kimg",
        "in 1 round(s)",
    ):
        assert text in printed
    assert f"devices    {jax.device_count()} {jax.default_backend()}" in printed
    assert "snapshots  every 0.048 kimg, and at the end" in printed


def test_size_must_be_known(capsys):
    with pytest.raises(ValueError, match=r"config.data.resolution: found None, allowed: a size with --dry-run"):
        dry_run.show(load_recipe(f"{tiny_runs.RECIPE}:rgb"), compile_too=False)
    assert capsys.readouterr().out == ""


def test_table_is_for_any_machine_compilation_for_the_one_asked_for(monkeypatch, capsys):
    config = dataclasses.replace(load_recipe(f"{tiny_runs.RECIPE}:rgba"), accelerator="tpu")
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert "total" in _shown(config, capsys)
    with pytest.raises(ValueError, match="config.accelerator: found 'tpu', allowed: 'any'"):
        dry_run.show(config, compile_too=True)


def test_batch_is_checked():
    config = dataclasses.replace(load_recipe(f"{tiny_runs.RECIPE}:rgba"), batch_size=6)
    with pytest.raises(ValueError, match="config.batch_size: found 6"):
        dry_run.show(config, compile_too=False)


def test_compilation_shows_what_each_program_costs(capsys):
    printed = _shown(load_recipe(f"{tiny_runs.RECIPE}:rgba"), capsys, compile_too=True)
    lines = printed[printed.index("program ") :].splitlines()
    assert [line.split()[0] for line in lines] == ["program", "g_main", "d_main", "advance"]
    for line in lines[1:3]:
        name, every, gflop, arguments, unit, temporary, *_, seconds, _ = line.split()
        assert every == "1" and float(gflop) > 0 and unit == "MiB" and float(seconds) > 0
        assert np.isfinite([float(arguments), float(temporary)]).all()
    assert "compiling g_main ..." in printed and "compiled g_main in" in printed
