"""Nothing that was read from a disk or a socket may run code: what can do that does not appear in the program."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "brokertuner_tui"
MODULES = (
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "jsonpickle",
    "multiprocessing",
)
"""The last one pickles what goes from process to process."""
CALLS = (
    "torch.load",
    "torch.jit.load",
    "torch.package",
    "numpy.load",
    "np.load",
    "pandas.read_pickle",
    "yaml.load",
    "yaml.unsafe_load",
)
BUILT_IN = ("eval", "exec", "compile", "__import__")


def dangers(code: str) -> Iterator[str]:
    """What in this module can run code that is data."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names):
                yield from (name.name for name in names if name.name.partition(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                if module.partition(".")[0] in MODULES:
                    yield module
                yield from (f"{module}.{name.name}" for name in names if f"{module}.{name.name}" in CALLS)
            case ast.Attribute():
                if ast.unparse(node) in CALLS:
                    yield ast.unparse(node)
            case ast.keyword(arg="allow_pickle"):
                yield "allow_pickle"
            case ast.Call(func=ast.Name(id=name)) if name in BUILT_IN:
                yield name


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import pickle as p",
        "def f():\n    from shelve import open",
        "import multiprocessing.connection",
        "import torch\ntorch.load(path)",
        "from torch import load",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "reader(path, allow_pickle=flag)",
        "import marshal",
        "eval(text)",
    ],
)
def test_the_test_finds_it(code: str) -> None:
    assert list(dangers(code))


def test_nothing_of_it_is_in_the_program() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    found = {str(path.relative_to(PACKAGE)): names for path in files if (names := list(dangers(path.read_text())))}
    assert found == {}
