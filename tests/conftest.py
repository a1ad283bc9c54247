"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyquantk import cpu


@pytest.fixture(params=cpu.layers())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once per instruction-set layer of this build that this CPU has."""
    if not cpu.layers()[request.param]:
        pytest.skip(f"this CPU has no {request.param}")
    with cpu.use(request.param):
        yield request.param
