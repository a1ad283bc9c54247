"""The libraries to compare with: what is installed, and how to hold each to a number of threads.

A peer is a module here with ``NAME`` (the package's import name), ``SHORT`` (its column), ``set_threads(n)`` and
the functions that rows name. It imports its package only inside functions; one that is absent is left out.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from importlib import metadata
from types import ModuleType

__all__ = ["PEERS", "installed", "version_of"]

#: Import name -> module, in the order of the columns.
PEERS = {
    "onnxruntime": "pyquantk.bench.peers.ort",
    "torch": "pyquantk.bench.peers.pytorch",
    "numpy": "pyquantk.bench.peers.with_numpy",
    "numkong": "pyquantk.bench.peers.with_numkong",
}


def installed(wanted: Sequence[str] | None) -> dict[str, ModuleType]:
    """The peers that can be imported, among those `wanted` (all where None).

    Raises
    ------
    ValueError
        If `wanted` names something that is no peer.
    """
    if wanted == ["none"]:
        return {}
    unknown = [name for name in wanted or () if name not in PEERS]
    if unknown:
        raise ValueError(f"--vs must name peers among {', '.join(PEERS)}, or be none, not {unknown[0]!r}")
    found = {}
    for name in PEERS if wanted is None else wanted:
        if importlib.util.find_spec(name) is None:
            continue
        try:
            importlib.import_module(name)
        except Exception:  # a broken installation is as good as none
            continue
        found[name] = importlib.import_module(PEERS[name])
    return found


def version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return str(getattr(importlib.import_module(name), "__version__", "unknown"))
