"""Runs golden numbers: every case of every file, with an account of what was read and what was compared.

A golden file is an .npz of arrays `<case>/<key>` and a `meta_json` that holds the options of each case (its README
explains them). The folder is FLAXGAN_GOLDENS, or tests/goldens. A file `<folder>/<stem>.npz` belongs to the test module
`test_<folder>_<stem>.py`, or else to the one with the longest such name that it begins with (files at the top of the
folder count as stylegan2). Such a module reads

    suite = goldens.Suite(__name__, float32=1e-5, float64=5e-7)

    @suite.kind("filter2d_*", inputs=["x", "f"])
    def filter2d(case):
        y = upfirdn.filter2d(nhwc(case.input("x")), case.input("f"), padding=case.option("padding"))
        case.compare("y", nchw(y))

    @pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
    def test_golden(case_id, record_property):
        suite.run(case_id, record_property)

What a file holds decides what is run. A case fails if no kind takes it, if an input or option that it has was not
read, if an array that is no input was not compared, or if a difference exceeds its tolerance. Every case runs twice, in
float32 and in float64 (x64); the cases, arrays and largest errors of each file are printed after the test session.
"""

import dataclasses
import fnmatch
import functools
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from beyond_primary import excused

HERE = pathlib.Path(__file__).parent
FOLDER = pathlib.Path(os.environ.get("FLAXGAN_GOLDENS", HERE.parent / "goldens"))
PRECISIONS = ("float32", "float64")
PROPERTY = "golden"  # Name of the property under which a test reports its account.

_REQUIRED = object()


class CaseId(NamedTuple):
    """One case of one file at one precision."""

    path: pathlib.Path
    case: str
    precision: str

    def __str__(self):
        return f"{self.path.stem}-{self.case}-{self.precision}"


class Kind(NamedTuple):
    """How the cases whose name matches a pattern are run."""

    pattern: str
    function: Callable[["Case"], None]
    inputs: tuple[str, ...]
    notes: tuple[str, ...]


class Suite:
    """The kinds of cases that one test module knows.

    Args:
      module: the module's __name__.
      float32, float64: default tolerances at the two precisions.
      whole_file: the arrays of a file make one case, called by the file's stem, with all keys and options.
      folder: where the files are.
      shared_cases: cases that hold only what other cases read (`Case.shared`); they are not run.
    """

    def __init__(self, module: str, *, float32: float, float64: float, whole_file=False, folder=None, shared_cases=()):
        self.module = module.rpartition(".")[2]
        self.tolerances = {"float32": float32, "float64": float64}
        self.whole_file = whole_file
        self.folder = FOLDER if folder is None else folder
        self.shared_cases = tuple(shared_cases)
        self.kinds: list[Kind] = []

    def kind(self, *patterns: str, inputs: Sequence[str] = (), notes: Sequence[str] = ()):
        """Decorator of the function that runs the cases matching a pattern; the first kind that matches counts.

        Args:
          patterns: of case names, as in a shell.
          inputs: patterns of the keys that are inputs. Every other array of the case is a result and must be compared.
          notes: options that say nothing to the test and need not be read.
        """

        def register(function):
            self.kinds += [Kind(pattern, function, tuple(inputs), tuple(notes)) for pattern in patterns]
            return function

        return register

    def case_ids(self) -> list[CaseId]:
        """All cases of this module's files, found in the files."""
        paths = [path for path in golden_files(self.folder) if owner(path, self.folder) == self.module]
        names = [
            (path, name) for path in paths for name in _cases_of(path, self.whole_file) if self._is_run(path, name)
        ]
        return [CaseId(path, name, precision) for path, name in names for precision in PRECISIONS]

    def _is_run(self, path: pathlib.Path, name: str) -> bool:
        """Whether a case has anything to compare: it is not shared, nor beyond the primary references as a whole."""
        arrays, _ = _cases_of(path, self.whole_file)[name]
        return name not in self.shared_cases and not (arrays and all(excused(path.stem, name, key) for key in arrays))

    def run(self, case_id: CaseId, record_property: Callable[[str, Any], None]) -> None:
        """Runs one case and raises AssertionError on any difference or omission.

        Args:
          case_id: one of `case_ids()`.
          record_property: the pytest fixture; takes the case's account to the summary.
        """
        kind = next((kind for kind in self.kinds if fnmatch.fnmatchcase(case_id.case, kind.pattern)), None)
        if kind is None:
            raise AssertionError(f"{case_id}: no kind of {self.module} takes this case")
        arrays, options = _cases_of(case_id.path, self.whole_file)[case_id.case]
        tolerance = self.tolerances[case_id.precision]
        arrays = {key: array for key, array in arrays.items() if not excused(case_id.path.stem, case_id.case, key)}
        case = Case(case_id.case, case_id.precision, arrays, options, kind, tolerance, *load(case_id.path))
        try:
            with jax.enable_x64(case_id.precision == "float64"), jax.default_matmul_precision("highest"):
                kind.function(case)
        finally:
            label = str(case_id.path.relative_to(self.folder))
            record_property(PROPERTY, [label, case_id.precision, case_id.case, len(case.read), case.errors])
        case.finish()


@dataclasses.dataclass
class Case:
    """One case while it runs.

    Attributes:
      name: the case's name.
      precision: "float32" or "float64".
      arrays: its arrays by key.
      options: its entry in the file's meta_json.
      kind: the kind that runs it.
      default_tolerance: of `compare`.
      file_arrays: all arrays of the file by their full key, for inputs that cases share.
      file_options: the options of all cases of the file by case, likewise.
    """

    name: str
    precision: str
    arrays: Mapping[str, np.ndarray]
    options: Any
    kind: Kind
    default_tolerance: float
    file_arrays: Mapping[str, np.ndarray]
    file_options: Mapping[str, Any]
    read: set[str] = dataclasses.field(default_factory=set)
    options_read: set[str] = dataclasses.field(default_factory=set)
    errors: list[tuple[str, float, float]] = dataclasses.field(default_factory=list)  # (key, error, tolerances)
    faults: list[str] = dataclasses.field(default_factory=list)

    @property
    def dtype(self) -> np.dtype:
        """The float type of this run."""
        return np.dtype(self.precision)

    def keys(self, pattern: str = "*") -> list[str]:
        """The keys that match a pattern, in the file's order."""
        return [key for key in self.arrays if fnmatch.fnmatchcase(key, pattern)]

    def is_input(self, key: str) -> bool:
        """Whether the kind declares a key as an input."""
        return any(fnmatch.fnmatchcase(key, pattern) for pattern in self.kind.inputs)

    def input(self, key: str) -> np.ndarray:
        """An input, as NumPy array in the file's layout; floats in this run's precision."""
        if not self.is_input(key):
            raise AssertionError(f"{self.name}/{key} is read as an input but not declared as one")
        self.read.add(key)
        return self._cast(self.arrays[key])

    def optional_input(self, key: str) -> np.ndarray | None:
        """An input, or None if the case has none of that name."""
        return self.input(key) if key in self.arrays else None

    def inputs(self, prefix: str) -> dict[str, np.ndarray]:
        """All inputs whose key begins with a prefix, by the rest of their key: a state_dict, for instance."""
        return {key.removeprefix(prefix): self.input(key) for key in self.arrays if key.startswith(prefix)}

    def shared(self, full_key: str) -> np.ndarray:
        """An array of another case of the file, such as inputs that many cases share; not part of the account."""
        return self._cast(self.file_arrays[full_key])

    def option(self, name: str, default: Any = _REQUIRED) -> Any:
        """An option of the case (lists become tuples), or the default where it has none of that name."""
        self.options_read.add(name)
        if name in self.options:
            return _freeze(self.options[name])
        if default is _REQUIRED:
            raise AssertionError(f"{self.name} has no option {name!r}")
        return default

    def shared_option(self, case: str, name: str) -> Any:
        """An option of another case of the file; not part of the account."""
        return _freeze(self.file_options[case][name])

    def compare(self, key: str, value: Any, *, tolerance: Any = None, scale: Any = None) -> None:
        """Compares a result with the array of that name; a difference fails the case when it finishes.

        Args:
          key: the array's key.
          value: our result, in the file's layout.
          tolerance: bound on |value - golden| / scale: a number, an array, or {precision: either}; None is the suite's.
          scale: number or array; None is the golden array's largest magnitude. 1.0 makes the tolerance absolute.
        """
        if self.is_input(key):
            raise AssertionError(f"{self.name}/{key} is compared but declared as an input")
        self.read.add(key)
        self._compare(key, np.asarray(value), self.arrays[key], tolerance, scale)

    def compare_option(self, name: str, value: Any, *, tolerance: Any = None, scale: Any = None) -> None:
        """Compares a result with a number, or list of numbers, among the options; arguments as for `compare`."""
        self._compare(name, np.asarray(value), np.asarray(self.option(name)), tolerance, scale)

    def check(self, what: str, condition: bool) -> None:
        """Adds a comparison that is true or false, such as an expected error being raised."""
        error = 0.0 if condition else np.inf
        self._note(what, error, error, f"{what}: does not hold")

    def finish(self) -> None:
        """Raises AssertionError if anything differed, or was left out."""
        left_out = [f"{key} was {'not read' if self.is_input(key) else 'not compared'}" for key in self._unread()]
        options = set(self.options) - self.options_read - set(self.kind.notes) if self.options else ()
        left_out += [f"option {name!r} was not read" for name in sorted(options)]
        if not self.errors:
            left_out.append("nothing was compared")
        if self.faults or left_out:
            raise AssertionError(f"{self.name} in {self.precision}: " + "; ".join([*self.faults, *left_out]))

    def _unread(self) -> list[str]:
        return [key for key in self.arrays if key not in self.read]

    def _cast(self, array: np.ndarray) -> np.ndarray:
        return array.astype(self.dtype) if np.issubdtype(array.dtype, np.floating) else array

    def _compare(self, key: str, value: np.ndarray, golden: np.ndarray, tolerance: Any, scale: Any) -> None:
        tolerance = self.default_tolerance if tolerance is None else tolerance
        tolerance = tolerance[self.precision] if isinstance(tolerance, Mapping) else tolerance
        if value.shape != golden.shape:
            self._note(key, np.inf, np.inf, f"{key} has shape {value.shape}, golden {golden.shape}")
            return
        golden = golden.astype(np.float64)
        if scale is None:
            scale = np.max(np.abs(golden), initial=0.0) or 1.0
        error = np.abs(value.astype(np.float64) - golden) / scale
        share = float(np.max(error / tolerance, initial=0.0))
        self._note(key, float(np.max(error, initial=0.0)), share, f"{key} is off by {share:.3g} tolerances")

    def _note(self, key: str, error: float, share: float, fault: str) -> None:
        self.errors.append((key, float(error), float(share)))
        if not share <= 1:  # True for NaN, too.
            self.faults.append(fault)


def golden_files(folder: pathlib.Path | None = None) -> list[pathlib.Path]:
    """All golden files, in folders of any depth."""
    return sorted((FOLDER if folder is None else folder).rglob("*.npz"))


def owner(path: pathlib.Path, folder: pathlib.Path | None = None) -> str | None:
    """Name of the test module that a file belongs to, None if there is none."""
    folder = FOLDER if folder is None else folder
    name = f"test_{'stylegan2' if path.parent == folder else path.parent.name}_{path.stem}"
    modules = [module.stem for module in HERE.glob("test_*_*.py")]
    return max((module for module in modules if f"{name}_".startswith(f"{module}_")), key=len, default=None)


@functools.cache
def load(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays by full key, options by case) of a file; small arrays that were packed into one are taken apart."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    options = json.loads(arrays.pop("meta_json").tobytes()) if "meta_json" in arrays else {}
    for prefix, items in options.pop("_pack", {}).items():
        flat = arrays.pop(prefix)
        ends = np.cumsum([int(np.prod(shape)) for _, shape in items])
        if ends[-1] != flat.size:
            raise ValueError(f"{path}: {prefix} holds {flat.size} numbers, its entry in _pack {ends[-1]}")
        for (name, shape), part in zip(items, np.split(flat, ends[:-1]), strict=True):
            arrays[f"{prefix}/{name}"] = part.reshape(shape)
    return arrays, options


@functools.cache
def _cases_of(path: pathlib.Path, whole_file: bool) -> dict[str, tuple[dict[str, np.ndarray], Any]]:
    """Case name -> (arrays by key, options)."""
    arrays, options = load(path)
    if whole_file:
        return {path.stem: (arrays, options)}
    cases: dict[str, tuple[dict[str, np.ndarray], Any]] = {name: ({}, entry) for name, entry in options.items()}
    for full_key, array in arrays.items():
        name, _, key = full_key.partition("/")
        cases.setdefault(name, ({}, {}))[0][key] = array
    return cases


def _freeze(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_freeze(item) for item in value)
    return {key: _freeze(item) for key, item in value.items()} if isinstance(value, dict) else value


def run_as_program(function: Callable, *arguments: Any) -> Any:
    """function(*arguments) as one program. It is compiled without optimizations: here compiling takes the time."""
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(function, compiler_options=options)(*arguments)


def nhwc(array: Any) -> Any:
    """Channels from the second axis to the last."""
    return np.moveaxis(np.asarray(array), 1, -1)


def nchw(array: Any) -> Any:
    """Channels from the last axis to the second."""
    return np.moveaxis(np.asarray(array), -1, 1)


def hwio(array: Any) -> Any:
    """A convolution kernel [O, I, H, W] as [H, W, I, O]."""
    return np.transpose(np.asarray(array), (2, 3, 1, 0))


def oihw(array: Any) -> Any:
    """A convolution kernel [H, W, I, O] as [O, I, H, W]."""
    return np.transpose(np.asarray(array), (3, 2, 0, 1))
