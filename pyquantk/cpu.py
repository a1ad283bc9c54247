"""Which kernels run, and how to choose others: for tests, benchmarks and bug reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from . import _native

__all__ = ["active", "layers", "use"]


def layers() -> dict[str, bool]:
    """Every instruction-set layer of this build, from plain to special, and whether this CPU can run it."""
    return dict(_native.layers())


def active() -> str:
    """The layer in use."""
    return _native.active_layer()


def _choose(layer: str, argument: str) -> None:
    known = layers()
    runnable = [name for name, supported in known.items() if supported]
    if layer not in runnable:
        runs = ", ".join(runnable)
        why = "this CPU cannot run" if layer in list(known) else "this build has no"
        raise ValueError(f"{argument} must be one of {runs}; {why} {layer!r}")
    _native.use_layer(layer)


@contextmanager
def use(layer: str) -> Iterator[None]:
    """Within the block, run no kernel above `layer`, in the whole process; then go back.

    Raises
    ------
    ValueError
        If this build has no such layer, or this CPU cannot run it.

    Examples
    --------
    >>> import pyquantk as qk
    >>> with qk.cpu.use("scalar"):
    ...     qk.cpu.active()
    'scalar'
    """
    before = active()
    _choose(layer, "layer")
    try:
        yield
    finally:
        _native.use_layer(before)


def use_environment() -> None:
    """Obey PYQUANTK_ISA, where it is set; called when pyquantk is imported."""
    layer = os.environ.get("PYQUANTK_ISA")
    if layer:
        _choose(layer, "the environment variable PYQUANTK_ISA")
