"""A progress bar for people: on a terminal only, tqdm's where installed (extra ``cli``), a percentage otherwise."""

from __future__ import annotations

import importlib
import shutil
import sys
import time
from types import TracebackType
from typing import Any

__all__ = ["Progress"]

_INTERVAL = 0.1  # seconds between redraws


class Progress:
    """Progress over `total` bytes on standard error; silent where that is no terminal.

    Call it with the name of the current item and the bytes just done.
    """

    def __init__(self, total: int, label: str) -> None:
        self._total, self._label, self._done, self._drawn = total, label, 0, 0.0
        self._name = ""
        self._live = sys.stderr.isatty()
        self._bar: Any = None
        if self._live:
            try:
                tqdm = importlib.import_module("tqdm").tqdm
            except ImportError:
                pass
            else:
                self._bar = tqdm(total=total, desc=label, unit="B", unit_scale=True, leave=False, dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __call__(self, name: str, nbytes: int) -> None:
        if not self._live:
            return
        self._done += nbytes
        if self._bar is not None:
            if name != self._name:
                self._bar.set_postfix_str(printable(name), refresh=False)
            self._bar.update(nbytes)
        elif time.monotonic() - self._drawn >= _INTERVAL:
            self._draw(name)
        self._name = name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _draw(self, name: str) -> None:
        self._drawn = time.monotonic()
        percent = 100 * self._done // max(self._total, 1)
        line = f"{self._label} {percent:3d} %  {printable(name)}"
        sys.stderr.write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        sys.stderr.flush()


def printable(text: str) -> str:
    """`text` with control characters escaped: names in files must not command the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
