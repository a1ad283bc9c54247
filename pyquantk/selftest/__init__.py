"""``pyquantk selftest``: does every layer of this CPU give the bits of the formulas, on one thread and on several?

NumPy is all it needs, so it runs wherever pyquantk is installed, under an emulator too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from .cases import Case

__all__ = ["add_arguments", "run"]

_SHOWN = 5  # mismatches a layer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layers", metavar="NAME,...", help="only these layers; default: every one this CPU runs")


def run(args: argparse.Namespace) -> int:
    import pyquantk as qk

    from . import cases as elementwise
    from . import products
    from .known import wrong_answers

    layers = _layers(args.layers)
    several = max(2, qk.get_num_threads())
    cases = [*elementwise.all_cases(), *products.all_cases()]
    expected = [case.expected() for case in cases]
    failed = False
    for layer in layers:
        start = time.perf_counter()
        with qk.cpu.use(layer):
            problems = [f"known answer: {text}" for text in wrong_answers()]
            for threads in (1, several):
                with qk.thread_limit(threads):
                    problems += [
                        f"{threads} threads: {problem}"
                        for case, right in zip(cases, expected, strict=True)
                        if (problem := _difference(case, right)) is not None
                    ]
        seconds = time.perf_counter() - start
        verdict = f"{len(problems)} of {2 * len(cases)} calls WRONG" if problems else f"{2 * len(cases)} calls exact"
        print(f"{layer:12} {verdict}, 1 and {several} threads, {seconds:.1f} s")
        for problem in problems[:_SHOWN]:
            print(f"    {problem}\n        reproduce: PYQUANTK_ISA={layer} pyquantk selftest --layers {layer}")
        failed = failed or bool(problems)
    print(
        "selftest: FAILED, please report the lines above with the output of `pyquantk info`"
        if failed
        else "selftest: ok"
    )
    return 1 if failed else 0


def _layers(wanted: str | None) -> Sequence[str]:
    import pyquantk as qk

    active = qk.cpu.active()
    can_run = [name for name, supported in qk.cpu.layers().items() if supported]
    if wanted is None:
        # PYQUANTK_ISA names the best layer to use; those above it are not to be touched then.
        return can_run[: can_run.index(active) + 1] if os.environ.get("PYQUANTK_ISA") else can_run
    for name in wanted.split(","):
        if name not in can_run:
            raise ValueError(f"--layers must name layers that this CPU runs ({', '.join(can_run)}), not {name!r}")
    return wanted.split(",")


def _difference(case: Case, expected: tuple[np.ndarray[Any, Any], ...]) -> str | None:
    """None, or the first place where the call's bits differ from the formula's."""
    import numpy as np

    try:
        found = case.call()
    except Exception as error:
        return f"{case.text}: raised {type(error).__name__}: {error}"
    for i, (got, right) in enumerate(zip(found, expected, strict=True)):
        if got.shape != right.shape or got.dtype != right.dtype:
            return f"{case.text}: result {i} is {got.dtype} {got.shape}, not {right.dtype} {right.shape}"
        bits = f"u{got.dtype.itemsize}"
        differ = np.argwhere(np.ascontiguousarray(got).view(bits) != np.ascontiguousarray(right).view(bits))
        if differ.size:
            at = tuple(differ[0].tolist())
            return f"{case.text}: result {i} at {at} is {got[at]!r}, not {right[at]!r}, {len(differ)} differ"
    return None
