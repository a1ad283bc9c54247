"""The command line: ``pyquantk info | selftest | bench | quantize | inspect | demo``.

Each command is a module with ``add_arguments(parser)`` and ``run(args) -> int``, imported only when it is asked for.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, Protocol, cast

__all__ = ["main"]

_CHECKPOINTS = "pyquantk.integrations.checkpoints.commands."
COMMANDS: Mapping[str, tuple[str, str]] = {
    "info": ("pyquantk.info", "show versions, CPU features, chosen kernels, threads and caches"),
    "selftest": ("pyquantk.selftest", "check every instruction-set layer of this CPU against the scalar one"),
    "bench": ("pyquantk.bench", "measure the kernels against this machine's limits and installed libraries"),
    "quantize": (_CHECKPOINTS + "quantize", "quantize a safetensors checkpoint to int8"),
    "inspect": (_CHECKPOINTS + "inspect", "show what is in a safetensors checkpoint"),
    "demo": (_CHECKPOINTS + "demo", "quantize the all-MiniLM-L6-v2 weights and show speed and error"),
}


class Command(Protocol):
    """What a command module provides."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 done, 1 the command found a failure, 2 wrong usage or input, 130 and 143 interrupted by Ctrl-C and SIGTERM.
    """
    try:
        with _termination_as_exception():
            status = _run(sys.argv[1:] if argv is None else argv)
            sys.stdout.flush()  # a closed pipe shows here at the latest
        return status
    except KeyboardInterrupt:
        print("\npyquantk: interrupted", file=sys.stderr)
        return 130
    except _Terminated:
        print("pyquantk: terminated", file=sys.stderr)
        return 143
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, MemoryError) as error:
        print(f"pyquantk: error: {_describe(error)}", file=sys.stderr)
        return 2


def _run(argv: Sequence[str]) -> int:
    wanted = next((word for word in argv if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(prog="pyquantk", description="Quantization kernels for CPUs.")
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    module: Command | None = None
    for name, (path, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == wanted:
            module = cast(Command, importlib.import_module(path))
            module.add_arguments(sub)
    args = parser.parse_args(argv)
    assert module is not None, "argparse accepts only known commands"
    return module.run(args)


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import pyquantk

        print(f"pyquantk {pyquantk.__version__}")
        parser.exit()


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that unfinished files are removed."""


@contextmanager
def _termination_as_exception() -> Iterator[None]:
    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise _Terminated

    try:
        saved = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread: a program that embeds us keeps its own handling
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, saved)


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "out of memory"
    return str(error)
