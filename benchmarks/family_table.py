"""The text of benchmarks/FAMILIES.md: a pure function of the results of runs, but for the date and the machine."""

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
"""A recipe with a lower mean is named under "What did not work"."""

INTRODUCTION = """\
# What each family learns

Every tiny recipe, and the quick start, trained for the same {kimg:g} kimg on the same real images (the 1,797
handwritten digits of scikit-learn, grey, 16x16) by the same trainer, {seeds} seeds each. Tables and grids are made by
one command:

```sh
.venv/bin/python -m benchmarks.families --seeds {seeds} --kimg {kimg:g}
```

1,797 images of the generator's moving average are measured in each run, all in the same way, with one classifier
trained on the real digits:

* **agreement**: share of the images that the classifier takes for the class asked for; of conditional recipes only.
* **confidence**: mean probability of the classifier's most likely class. Blurred or broken digits lower it.
* **class balance**: entropy of the predicted classes, as a share of that of equal frequencies. Missing digits lower it.
* **Frechet distance**, **recall**, **precision** (k-nearest-neighbour, k = 5) in the classifier's features. A generator
  that repeats itself has a low recall.
* **sec/kimg**: of training alone, without compilation, on one core.

What a recipe plans by thousands of images (fades, decay of the learning rate) is shortened in proportion to the run.
Each value is the mean over the seeds, and behind it the least and the greatest. These are tiny networks trained for a
minute: the table shows that a family trains, not which of the families is better.
"""

REFERENCE = """\
For comparison, of the real digits themselves: held-out accuracy of the classifier {classifier_accuracy:.3f},
confidence {confidence_reals:.3f}; two halves of the real set are {frechet_real_halves:.1f} apart and cover each other
with recall {recall_real_halves:.3f}.
"""


def render(entries: Sequence[Any], found: dict[str, list[Result]], *, kimg: float, seeds: int, notes: str = "") -> str:
    """The whole text.

    Args:
      entries: lines of the table, `families.Entry`.
      found: results of the runs so far, by the name of the entry.
      kimg: length of the runs.
      seeds: runs of each entry.
      notes: what a person has to say about the grids, in Markdown.
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
    """Self-modulation next to another normalization, of the recipes that have tiny variants with both."""
    stems = [entry.stem for entry in entries]
    pairs = sorted((e for e in entries if stems.count(e.stem) > 1), key=lambda e: (e.stem, e.norm != "self_modulated"))
    if not pairs:
        return
    yield "## Self-modulation against its plain counterpart"
    yield ""
    yield "Variants of one recipe: another normalization in the generator, and everything else as the recipe says."
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
        yield f"Of {stem} the two forms differ in more than that, as its header says: their discriminators, too."


def _failures(entries: Sequence[Any], found: dict[str, list[Result]], seeds: int) -> Iterator[str]:
    yield "## What did not work"
    yield ""
    lines = [line for entry in entries for line in _failures_of(entry.name, found[entry.name], seeds)]
    bounds = ", ".join(f"{measure.replace('_', ' ')} {bound}" for measure, bound in WEAK_BELOW.items())
    yield "Named here is whatever ended early, is not finished, or has a mean below one of these:"
    yield f"{bounds}."
    yield ""
    yield from lines or ["Nothing."]


def _failures_of(name: str, results: list[Result], seeds: int) -> Iterator[str]:
    if len(results) < seeds:
        yield f"* {name}: {len(results)} of {seeds} runs are there."
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
    yield "Of seed 0, not selected; one column for each class where the recipe has classes."
    for entry in entries:
        if _measured(found[entry.name]):
            yield ""
            yield f"{entry.name}:"
            yield ""
            yield f"![{entry.name}](families/{entry.name}.png)"


def _provenance() -> Iterator[str]:
    yield "## Made with"
    yield ""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    yield f"* {_processor()}, one core a run, two runs at a time, on a machine that other jobs used too"
    yield f"* Python {platform.python_version()}, {versions}"
    yield f"* {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"


def _processor() -> str:
    """The processor's name and the number of cores."""
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
    """Mean (least to greatest)."""
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
