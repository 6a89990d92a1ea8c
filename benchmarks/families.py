"""Shows what each family learns: trains every tiny recipe on the same digits for as long, and measures all alike.

    .venv/bin/python -m benchmarks.families [--seeds 3] [--kimg 32] [--only NAME ...] [--jobs 2] [--out FILE.md]

Trained are the quick start and every variant of a recipe in configs/ whose name begins with `tiny`, found by listing
the folder. Each training has a process of its own, two at a time on a core each.

Results of finished runs are lines of benchmarks/families/results.jsonl: the same command after an interruption goes on
from there, and a recipe that has changed is trained again. The table is written after every run; what a person has to
say about the grids is in benchmarks/families/notes.md, and becomes part of it.
"""

import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks import family_table
from flaxgan.cli import recipes
from flaxgan.config import Config, to_json
from flaxgan.train.recipes import flags
from flaxgan.train.recipes.loader import load_recipe, recipe_name

ROOT = pathlib.Path(__file__).parent.parent
OUT = ROOT / "benchmarks" / "FAMILIES.md"
WORK = ROOT / "runs" / "families"


class Entry(NamedTuple):
    """A line of the table.

    Attributes:
      recipe: FILE or FILE:VARIANT, relative to the repository.
      config: the recipe as it is.
    """

    recipe: str
    config: Config

    @property
    def name(self) -> str:
        """The name of the recipe and its variant, and of the entry's files."""
        return recipe_name(self.recipe)

    @property
    def stem(self) -> str:
        """The name of the recipe."""
        return pathlib.Path(self.recipe.partition(":")[0]).stem

    @property
    def norm(self) -> str:
        """The normalization of its generator; that of the recipe, or what build() takes for None."""
        network = self.config.network
        if network["name"] == "selfmod":
            return "self_modulated"
        return network.get("g_norm") or ("conditional" if self.config.data.num_classes else "batch")

    def arguments(self, *, kimg: float, seed: int) -> list[str]:
        """The arguments of train.py, but for the run folder."""
        fields = {"total_kimg": kimg, "snapshot_kimg": kimg, "seed": seed, "keep_checkpoints": 1}
        for field, value in self._schedules().items():
            fields[field] = value * kimg / self.config.total_kimg
        return ["--config", self.recipe, "--config.metrics", *(f"--config.{name}={fields[name]:g}" for name in fields)]

    def _schedules(self) -> dict[str, float]:
        """What the recipe plans by thousands of images, which is shortened with the run."""
        growth, planned = self.config.growth, {}
        if growth.start_px is not None:
            planned |= {"growth.fade_kimg": growth.fade_kimg, "growth.stabilize_kimg": growth.stabilize_kimg}
        for name in ("g_optimizer", "d_optimizer"):
            planned[f"{name}.decay_start_kimg"] = getattr(self.config, name).decay_start_kimg
        return {field: value for field, value in planned.items() if value}


def main(arguments: list[str]) -> None:
    """Trains and measures what is missing, and writes the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each recipe (default: 3)")
    parser.add_argument("--kimg", type=float, default=32, help="thousands of images of each run (default: 32)")
    parser.add_argument("--only", nargs="*", default=[], help="train these alone, by name")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, each on its own core (default: 2)")
    parser.add_argument("--out", type=pathlib.Path, default=OUT, help="the table (default: benchmarks/FAMILIES.md)")
    parser.add_argument("--list", action="store_true", help="list the names and end")
    known = parser.parse_args(arguments)
    entries = list(find_entries())
    if known.list:
        print("\n".join(entry.name for entry in entries))
        return
    names = [entry.name for entry in entries]
    for name in known.only:
        if name not in names:
            raise SystemExit(f"--only: found {name}, allowed: {', '.join(names)}")
    Benchmark(entries, known).run()


def find_entries() -> Iterator[Entry]:
    """The quick start and every tiny variant."""
    names = ["configs/quickstart.py"]
    for path in sorted((ROOT / "configs").glob("*.py")):
        names += [f"configs/{path.name}:{name}" for name in recipes.variants(path) if name.startswith("tiny")]
    for name in names:
        yield Entry(name, load_recipe(str(ROOT / name)))


class Benchmark:
    """The runs of one command, and the results that there are already."""

    def __init__(self, entries: list[Entry], known: argparse.Namespace):
        self._entries, self._known = entries, known
        self._folder = known.out.parent / "families"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._results_file = self._folder / "results.jsonl"
        self._lock = threading.Lock()
        # Once for all: a recipe that is edited while this runs is trained again by the next command.
        pairs = [(entry, seed) for seed in range(known.seeds) for entry in entries]
        self._keys = {(entry.name, seed): self._key(entry, seed) for entry, seed in pairs}
        self._results: dict[str, dict[str, Any]] = {}
        if self._results_file.exists():
            lines = map(json.loads, self._results_file.read_text().splitlines())
            self._results = {line["key"]: line for line in lines}

    def run(self) -> None:
        """Trains what is missing: the first seed of all, then the second of all, and so on."""
        cores: queue.SimpleQueue[int] = queue.SimpleQueue()
        for core in range(self._known.jobs):
            cores.put(core)
        wanted = [entry for entry in self._entries if not self._known.only or entry.name in self._known.only]
        pairs = [(entry, seed) for seed in range(self._known.seeds) for entry in wanted]
        missing = [pair for pair in pairs if self._keys[pair[0].name, pair[1]] not in self._results]
        print(f"{len(missing)} runs to do", flush=True)
        with concurrent.futures.ThreadPoolExecutor(self._known.jobs) as pool:
            for done in [pool.submit(self._one, entry, seed, cores) for entry, seed in missing]:
                done.result()
        self._write_table()

    def _one(self, entry: Entry, seed: int, cores: queue.SimpleQueue) -> None:
        core = cores.get()
        try:
            result = self._train(entry, seed, core)
        finally:
            cores.put(core)
        with self._lock:
            key = self._keys[entry.name, seed]
            if key != self._key(entry, seed):
                print(f"{entry.name}: its recipe was edited meanwhile; this run does not count", flush=True)
                return
            self._results[key] = {"key": key, "name": entry.name, "seed": seed, "kimg": self._known.kimg, **result}
            with self._results_file.open("a") as file:
                file.write(json.dumps(self._results[key]) + "\n")
            self._write_table()
        brief = {name: result[name] for name in ("agreement", "confidence", "frechet", "recall") if name in result}
        print(entry.name, seed, result.get("failed") or {k: round(v, 3) for k, v in brief.items()}, flush=True)

    def _train(self, entry: Entry, seed: int, core: int) -> dict[str, Any]:
        workdir = WORK / f"{entry.name}-{seed}-{self._keys[entry.name, seed][:8]}"
        workdir.mkdir(parents=True, exist_ok=True)
        options = [f"--core={core}", f"--workdir={workdir}", f"--classifier={WORK / 'classifier.pickle'}"]
        if seed == 0:
            options.append(f"--grid={(self._folder / f'{entry.name}.png').absolute()}")
        command = [sys.executable, "-m", "benchmarks.family_run", *options, "--", *self._arguments(entry, seed)]
        with (workdir / "output.txt").open("w") as output:
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=output, text=True)
            output.write(done.stdout)
        if done.returncode:
            raise SystemExit(f"{entry.name}, seed {seed}: ended with {done.returncode}, see {workdir}/output.txt")
        return json.loads(done.stdout.splitlines()[-1])

    def _arguments(self, entry: Entry, seed: int) -> list[str]:
        return entry.arguments(kimg=self._known.kimg, seed=seed)

    def _key(self, entry: Entry, seed: int) -> str:
        """Of everything that decides the run but for the code."""
        recipe = ["--config", str(ROOT / entry.recipe), *self._arguments(entry, seed)[2:]]
        return hashlib.sha256(to_json(flags.parse(recipe).config).encode()).hexdigest()

    def _write_table(self) -> None:
        found: dict[str, list[dict[str, Any]]] = {entry.name: [] for entry in self._entries}
        for (name, _), key in self._keys.items():
            if key in self._results:
                found[name].append(self._results[key])
        notes = self._folder / "notes.md"
        settings = {"kimg": self._known.kimg, "seeds": self._known.seeds}
        text = family_table.render(self._entries, found, **settings, notes=notes.read_text() if notes.exists() else "")
        self._known.out.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
