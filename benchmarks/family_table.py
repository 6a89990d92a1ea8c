"""Text of benchmarks/FAMILIES.md, a pure function of the results except for the date and the machine."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Iterator, Sequence
from typing import Any

Result = dict[str, Any]

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn")

MEASURES = ("agreement", "confidence", "class_balance", "frechet", "recall", "precision", "sec_per_kimg")
TITLES = ("agreement", "confidence", "class balance", "Frechet distance", "recall", "precision", "sec/kimg")

WEAK_BELOW = {"agreement": 0.9, "confidence": 0.85, "class_balance": 0.9, "recall": 0.3, "precision": 0.5}
"""A recipe with a lower mean is listed under "Failures and weak results"."""

INTRODUCTION = """\
# Comparison of the families

Every tiny recipe and the quick start were trained for the same {kimg:g} kimg on the same real images (the 1,797
handwritten digits of scikit-learn, grey, 16x16) by the same trainer, with {seeds} seeds each. One command makes the
tables and the grids:

```sh
.venv/bin/python -m benchmarks.families --seeds {seeds} --kimg {kimg:g}
```

For each run, 1,797 images of the generator's moving average are measured in the same way, with one classifier trained
on the real digits:

* **agreement**: share of images that the classifier assigns to the requested class; for conditional recipes only.
* **confidence**: mean probability of the classifier's most likely class. Blurred or broken digits lower it.
* **class balance**: entropy of the predicted classes relative to a uniform distribution. Missing digits lower it.
* **Frechet distance**, **recall**, **precision** (k-nearest-neighbour, k = 5) in the classifier's features. A generator
  that repeats itself has a low recall.
* **sec/kimg**: training time without compilation, on one core.

Schedules in thousands of images (fades, learning rate decay) are shortened in proportion to the length of the run.
Each value is the mean over the seeds, followed by the minimum and the maximum. These are tiny networks trained for a
minute: the table shows that a family trains, not which family is better.
"""

REFERENCE = """\
For comparison, the real digits themselves: the classifier has held-out accuracy {classifier_accuracy:.3f} and
confidence {confidence_reals:.3f}; two halves of the real set have a distance of {frechet_real_halves:.1f} and cover
each other with recall {recall_real_halves:.3f}.
"""


def render(entries: Sequence[Any], found: dict[str, list[Result]], *, kimg: float, seeds: int, notes: str = "") -> str:
    """Returns the whole text.

    Args:
      entries: the rows of the table, `families.Entry`.
      found: results of the runs so far, by entry name.
      kimg: length of the runs.
      seeds: number of runs of each entry.
      notes: hand-written remarks on the grids, in Markdown.
    """
    parts = [INTRODUCTION.format(kimg=kimg, seeds=seeds)]
    measured = [result for results in found.values() for result in results if "failed" not in result]
    if measured:
        parts.append(REFERENCE.format(**measured[0]))
    parts += [
        "\n".join(_main_table(entries, found)),
        "\n".join(_pairs(entries, found)),
        "\n".join(_failures(entries, found, seeds)),
        notes,
        "\n".join(_grids(entries, found)),
        "\n".join(_provenance()),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _main_table(entries: Sequence[Any], found: dict[str, list[Result]]) -> Iterator[str]:
    yield _row("recipe", "family", "classes", "parameters of G", "of D", *TITLES)
    yield _row(*["---"] * (5 + len(TITLES)))
    for entry in entries:
        results = _measured(found[entry.name])
        if not results:
            yield _row(entry.name, *["not run yet" if not found[entry.name] else "failed"], *[""] * (3 + len(TITLES)))
            continue
        yield _row(entry.name, *_facts(results[0]), *(_cell(results, measure) for measure in MEASURES))


def _pairs(entries: Sequence[Any], found: dict[str, list[Result]]) -> Iterator[str]:
    """Compares self-modulation with another normalization, for recipes that have tiny variants with both."""
    stems = [entry.stem for entry in entries]
    pairs = sorted((e for e in entries if stems.count(e.stem) > 1), key=lambda e: (e.stem, e.norm != "self_modulated"))
    if not pairs:
        return
    yield "## Self-modulation compared with plain normalization"
    yield ""
    yield "Variants of one recipe with different normalizations in the generator; all other settings are the recipe's."
    yield ""
    chosen = [pair for pair in zip(MEASURES, TITLES) if pair[0] not in ("precision", "sec_per_kimg")]
    yield _row("recipe", "normalization of G", "parameters of G", *(title for _, title in chosen))
    yield _row(*["---"] * (3 + len(chosen)))
    differing = set()
    for entry in pairs:
        results = _measured(found[entry.name])
        others = [r for e in pairs if e.stem == entry.stem for r in _measured(found[e.name])]
        if len({result["d_parameters"] for result in others}) > 1:
            differing.add(entry.stem)
        cells = [_cell(results, measure) for measure, _ in chosen] if results else ["not run yet"]
        count = f"{results[0]['g_parameters']:,}" if results else ""
        yield _row(entry.stem, entry.norm.replace("_", "-"), count, *cells)
    for stem in sorted(differing):
        yield ""
        yield f"The two variants of {stem} also differ in their discriminators, as the header of the recipe says."


def _failures(entries: Sequence[Any], found: dict[str, list[Result]], seeds: int) -> Iterator[str]:
    yield "## Failures and weak results"
    yield ""
    lines = [line for entry in entries for line in _failures_of(entry.name, found[entry.name], seeds)]
    bounds = ", ".join(f"{measure.replace('_', ' ')} {bound}" for measure, bound in WEAK_BELOW.items())
    yield "This list has every run that failed or is missing, and every recipe with a mean below one of these bounds:"
    yield f"{bounds}."
    yield ""
    yield from lines or ["Nothing."]


def _failures_of(name: str, results: list[Result], seeds: int) -> Iterator[str]:
    if len(results) < seeds:
        yield f"* {name}: {len(results)} of {seeds} runs are finished."
    for result in results:
        if "failed" in result:
            yield f"* {name}, seed {result['seed']}: {result['failed']}"
    measured = _measured(results)
    weak = [m for m, bound in WEAK_BELOW.items() if measured and m in measured[0] and _mean(measured, m) < bound]
    if weak:
        words = ", ".join(f"{measure.replace('_', ' ')} {_cell(measured, measure)}" for measure in weak)
        yield f"* {name}: {words}."


def _grids(entries: Sequence[Any], found: dict[str, list[Result]]) -> Iterator[str]:
    yield "## Samples"
    yield ""
    yield "Images of seed 0, without selection, with one column for each class if the recipe has classes."
    for entry in entries:
        if _measured(found[entry.name]):
            yield ""
            yield f"{entry.name}:"
            yield ""
            yield f"![{entry.name}](families/{entry.name}.png)"


def _provenance() -> Iterator[str]:
    yield "## Environment"
    yield ""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    yield f"* {_processor()}, one core for each run, two runs at a time, on a machine shared with other jobs"
    yield f"* Python {platform.python_version()}, {versions}"
    yield f"* {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"


def _processor() -> str:
    """Returns the processor's name and the number of cores."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def _measured(results: list[Result]) -> list[Result]:
    return [result for result in results if "failed" not in result]


def _facts(result: Result) -> tuple[str, ...]:
    counts = (f"{result[name]:,}" for name in ("g_parameters", "d_parameters"))
    return (result["family"], "10" if result["conditional"] else "none", *counts)


def _cell(results: list[Result], measure: str) -> str:
    """Formats the mean, followed by the minimum and the maximum."""
    values = [result[measure] for result in results if measure in result]
    if not values:
        return "-"
    digits = {"frechet": 1, "sec_per_kimg": 2}.get(measure, 3)
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{_mean(results, measure):.{digits}f}{spread}"


def _mean(results: list[Result], measure: str) -> float:
    return sum(result[measure] for result in results) / len(results)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
