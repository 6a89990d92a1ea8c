"""Shows the contents of a run or a checkpoint: step, kimg, parameter counts, and a digest of the train state."""

import argparse
import json
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `flaxgan inspect`."""
    parser.add_argument("run_path", metavar="RUN", help="a run folder (its latest checkpoint), or one checkpoint in it")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> None:
    """Prints the facts. Equal states have equal digests, on any device."""
    facts = describe(arguments.run_path)
    if arguments.json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        print(f"{name:<13} {value:,}" if isinstance(value, int) else f"{name:<13} {value}")


def describe(path: str) -> dict[str, int | float | str]:
    """Returns the facts about a run or checkpoint, by name.

    Raises:
      ValueError: if there is no checkpoint.
    """
    import jax

    from flaxgan.train.checkpoints import store

    def count(tree: Any) -> int:
        return sum(int(leaf.size) for leaf in jax.tree.leaves(tree))

    folder = store.locate(path)
    arrays = store.read_all(folder)
    config = store.read_config(folder)
    return {
        "checkpoint": str(folder),
        "network": config.network["name"],
        "step": int(arrays["step"]),
        "kimg": int(arrays["images_seen"]) / 1000,
        "g_parameters": count(arrays["g"]["params"]),
        "d_parameters": count(arrays["d"]["params"]),
        "augment_p": float(arrays["ada"]["p"]),
        "digest": store.digest(arrays),
    }
