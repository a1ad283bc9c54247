"""What tests of several folders share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pyquantk import cpu

# importlib mode leaves sys.path alone; this is where modules shared by tests (oracle, strategies) are found.
sys.path.insert(0, str(Path(__file__).parent))

# No deadline: a machine that is busy elsewhere must not fail a test. CI runs the same examples every time.
settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=200, derandomize=True, database=None, print_blob=True
)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=10)  # for emulated machines
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell starts background jobs with SIGINT ignored, and children inherit that; tests of Ctrl-C need it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def away_from_the_source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A child process started in the checkout would import the source folder, which has no extension."""
    here = Path.cwd()
    package = Path(cpu.__file__).resolve().parents[1]
    if package == here:  # built in place: children need to find what this process imported
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(here), os.environ.get("PYTHONPATH")]))
    os.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    os.chdir(here)


@pytest.fixture(params=cpu.layers())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once per instruction-set layer of this build that this CPU has."""
    if not cpu.layers()[request.param]:
        pytest.skip(f"this CPU has no {request.param}")
    with cpu.use(request.param):
        yield request.param
