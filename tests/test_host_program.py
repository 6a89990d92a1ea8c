"""A program that imports flaxgan keeps its own settings."""

import json
import subprocess
import sys

import tiny_runs

PROGRAM = """
import importlib, json, logging, os, pkgutil, signal, sys, threading, warnings
import jax, numpy
import array_record.python.array_record_module, chex, docstring_parser, etils.epath, flax.linen, grain, msgpack, optax
import orbax.checkpoint, PIL.Image, scipy.linalg, sklearn.datasets, tensorboardX, tyro

loggers = [logging.root, *(logging.getLogger(name) for name in sorted(logging.root.manager.loggerDict))]

def state():
    return {
        "loggers": repr([(x.name, x.level, x.disabled, x.propagate, x.filters, x.handlers) for x in loggers]),
        "hooks": repr((sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook)),
        "streams": repr((sys.stdout, sys.stderr, sys.stdout.errors)),
        "signals": repr([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]),
        "warnings": repr(warnings.filters),
        "environment": dict(os.environ),
        "jax": repr(sorted(jax.config.values.items())),
        "numpy": repr(numpy.geterr()),
        "path": list(sys.path),
    }

jax.devices()
before = state()
import flaxgan
names = [info.name for info in pkgutil.walk_packages(flaxgan.__path__, "flaxgan.")]
for name in names:
    importlib.import_module(name)
from flaxgan.train import trained
trained.load(sys.argv[1])
after = state()
print(json.dumps([len(names), {name: [before[name], after[name]] for name in before if before[name] != after[name]}]))
"""


def test_importing_every_module_and_loading_a_generator_changes_no_global_state(tiny_run):
    command = [sys.executable, "-c", PROGRAM, str(tiny_run.workdir)]
    done = subprocess.run(command, env=tiny_runs.environment(), cwd=tiny_runs.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, changed = json.loads(done.stdout.splitlines()[-1])
    assert count > 200 and not changed
