"""What an emulated machine cannot do, or takes too long for."""

from __future__ import annotations

import os

import pytest

# Set by whoever runs the tests under qemu-user, which is some thirty times slower than the machine itself.
EMULATED = bool(os.environ.get("PYQUANTK_EMULATED"))


def unless_emulated(reason: str) -> pytest.MarkDecorator:
    """Skip a test that fails for a fault of the emulator."""
    return pytest.mark.skipif(EMULATED, reason=f"qemu-user {reason}")


fork_after_threads = unless_emulated("aborts when the child of a threaded process starts a thread")
slow_when_emulated = pytest.mark.skipif(EMULATED, reason="takes minutes under emulation")
