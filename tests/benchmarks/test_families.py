from types import SimpleNamespace

import pytest

from benchmarks import families, family_table

REALS = {"classifier_accuracy": 0.99, "confidence_reals": 1.0, "frechet_real_halves": 8.0, "recall_real_halves": 0.96}


def _entry(name: str, norm: str = "batch", stem: str = "") -> SimpleNamespace:
    return SimpleNamespace(name=name, norm=norm, stem=stem or name)


def _result(seed: int = 0, **values) -> dict:
    numbers = dict.fromkeys(family_table.MEASURES, 0.95) | {"g_parameters": 1234, "d_parameters": 5678}
    return {"seed": seed, "family": "dcgan", "conditional": True, **numbers, **REALS, **values}


def _line(text: str, start: str) -> list[str]:
    return [
        cell.strip() for cell in next(line for line in text.splitlines() if line.startswith(start)).split("|")[1:-1]
    ]


def test_a_cell_is_the_mean_with_the_least_and_the_greatest():
    results = [_result(0, recall=0.2), _result(1, recall=0.6), _result(2, recall=0.4)]
    cells = _line(family_table.render([_entry("one")], {"one": results}, kimg=8, seeds=3), "| one |")
    assert cells[:5] == ["one", "dcgan", "10", "1,234", "5,678"]
    assert cells[5 + family_table.MEASURES.index("recall")] == "0.400 (0.200 to 0.600)"


def test_what_has_no_classes_has_no_agreement():
    result = _result(conditional=False)
    del result["agreement"]
    cells = _line(family_table.render([_entry("one")], {"one": [result]}, kimg=8, seeds=1), "| one |")
    assert (cells[2], cells[5]) == ("none", "-")


def test_failures_unfinished_and_weak_recipes_are_named():
    found = {"weak": [_result(recall=0.1)], "good": [_result()], "broken": [{"seed": 0, "failed": "loss is nan"}]}
    found["late"] = []
    text = family_table.render([_entry(name) for name in found], found, kimg=8, seeds=1)
    section = text.split("## Failures and weak results")[1].split("##")[0]
    assert "* weak: recall 0.100." in section and "* broken, seed 0: loss is nan" in section
    assert "* late: 0 of 1 runs are finished." in section and "good" not in section
    good = family_table.render([_entry("good")], {"good": [_result()]}, kimg=8, seeds=1)
    assert "Nothing." in good.split("## Failures and weak results")[1]


def test_self_modulation_stands_above_its_counterpart():
    entries = [_entry("a", stem="x"), _entry("b", "self_modulated", "x"), _entry("c")]
    found = {"a": [_result(confidence=0.8)], "b": [_result(confidence=0.9, d_parameters=9)], "c": [_result()]}
    text = family_table.render(entries, found, kimg=8, seeds=1, notes="## Seen\n\nDigits.")
    pairs = text.split("## Self-modulation")[1].split("##")[0]
    rows = [line for line in pairs.splitlines() if line.startswith("| x |")]
    assert ["self-modulated" in row for row in rows] == [True, False] and "0.900" in rows[0] and "0.800" in rows[1]
    assert "The two variants of x also differ in their discriminators" in pairs and "| c |" not in pairs
    assert "## Seen\n\nDigits.\n" in text


def test_entries_are_the_quick_start_and_the_tiny_variants_with_shortened_schedules():
    entries = {entry.name: entry for entry in families.find_entries()}
    assert {"quickstart", "dcgan_celeba64-tiny", "pggan_celebahq1024-tiny"} <= set(entries)
    pggan = entries["pggan_celebahq1024-tiny"]
    fade = pggan.config.growth.fade_kimg * 24 / pggan.config.total_kimg
    arguments = pggan.arguments(kimg=24, seed=2)
    assert {"--config.total_kimg=24", "--config.seed=2", f"--config.growth.fade_kimg={fade:g}"} <= set(arguments)
    selfmod = entries["selfmod_dcgan_celeba-tiny"]
    plain = entries["selfmod_dcgan_celeba-tiny_plain"]
    assert (selfmod.norm, plain.norm, selfmod.stem) == ("self_modulated", "batch", plain.stem)


def test_an_unknown_name_is_refused():
    with pytest.raises(SystemExit, match="--only: found stylegan9, allowed: quickstart, "):
        families.main(["--only", "stylegan9"])
