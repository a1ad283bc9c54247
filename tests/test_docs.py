"""Docstrings: every example runs, every parameter is described, and the stub matches the module it describes."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import pyquantk as qk

PUBLIC = [name for name in qk.__all__ if not inspect.ismodule(getattr(qk, name))]
FUNCTIONS = {name: getattr(qk, name) for name in PUBLIC if inspect.isroutine(getattr(qk, name))}
MODULES = sorted(
    m.name for m in pkgutil.walk_packages(qk.__path__, "pyquantk.") if not m.name.endswith(("__main__", "_native"))
)


def test_the_readme_runs():
    readme = Path(__file__).parents[1] / "README.md"
    with np.printoptions(legacy=False, precision=8, threshold=1000, linewidth=75):
        failed, attempted = doctest.testfile(str(readme), module_relative=False, encoding="utf-8")
    assert attempted >= 10
    assert failed == 0


@pytest.mark.parametrize("name", ["pyquantk", *MODULES])
def test_examples(name):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if (error.name or "").startswith("pyquantk"):
            raise
        pytest.skip(f"{error.name} is not installed")
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    with np.printoptions(legacy=False, precision=8, threshold=1000, linewidth=75):
        for test in finder.find(module, extraglobs={"qk": qk, "np": np}):
            runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("name", ["quantize", "dequantize", "fake_quantize", "observe", "choose_params", "QuantParams"])
def test_examples_exist(name):
    assert ">>> " in inspect.getdoc(getattr(qk, name))


@pytest.mark.parametrize("name", PUBLIC)
def test_has_a_docstring_with_one_summary_line(name):
    doc = inspect.getdoc(getattr(qk, name))
    summary = doc.splitlines()[0]
    assert summary.endswith((".", ":", "``."))
    assert len(summary) <= 120
    public = getattr(qk, name)
    if inspect.isclass(public):
        for method, value in vars(public).items():
            if not method.startswith("_") and inspect.isfunction(value):
                assert value.__doc__, method


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if inspect.signature(f).parameters])
def test_describes_its_parameters_returns_and_errors(name):
    function = FUNCTIONS[name]
    doc = inspect.getdoc(function)
    sections = dict(re.findall(r"^(\w[\w ]+)\n-+\n(.*?)(?=^\w[\w ]+\n-+\n|\Z)", doc, re.MULTILINE | re.DOTALL))
    described = re.findall(r"^([\w, *]+?)(?: :|$)", sections["Parameters"], re.MULTILINE)
    names = [n.strip() for line in described for n in line.split(",")]
    assert sorted(names) == sorted(inspect.signature(function).parameters)
    hints = inspect.signature(function).return_annotation
    assert "Returns" in sections or hints in {"None", None}
    if name != "observe":
        assert "Raises" in sections


def test_conventions_are_all_named():
    doc = inspect.getdoc(qk.quantize)
    from pyquantk import _native

    assert all(f'"{name}"' in doc for name in _native.CONVENTIONS)


def test_rules_are_all_named():
    doc = inspect.getdoc(qk.choose_params)
    from pyquantk.rules import RULES

    assert all(f'"{name}"' in doc for name in RULES)


def test_all_is_sorted_and_complete():
    assert list(qk.__all__) == sorted(qk.__all__)
    assert {n for n in vars(qk) if not n.startswith("_")} >= set(qk.__all__)


def test_the_stub_describes_the_extension_module():
    """Names and parameters of _native.pyi are those of _native.pyx and its parts."""
    folder = Path(qk.__file__).parent
    stub, source = folder / "_native.pyi", folder / "_native.pyx"
    declared = {
        node.name: [a.arg for a in node.args.args] + ([f"*{node.args.vararg.arg}"] if node.args.vararg else [])
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    from pyquantk import _native

    exported = {n for n, f in vars(_native).items() if not n.startswith("_") and inspect.isroutine(f)}
    assert set(declared) == exported
    if not source.exists():
        return  # an installed wheel has no source
    text = source.read_text(encoding="utf-8")
    text += "".join((folder / part).read_text(encoding="utf-8") for part in re.findall(r'^include "(.*)"', text, re.M))
    found = re.findall(r"^def ([a-z]\w*)\((.*?)\):", text, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in found} == exported
    for name, parameters in found:
        assert declared[name] == [
            p.split("=")[0].split(" not ")[0].split()[-1] for p in parameters.split(",") if p.strip()
        ], name
