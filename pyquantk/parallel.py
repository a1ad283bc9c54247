"""How many threads a call may use.

One call of pyquantk is split over a small pool of threads that starts at the first call large enough to gain from
it and sleeps in between. The number of threads changes the time, never the result.

The default is ``PYQUANTK_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the CPUs this process may run on
(affinity mask), but no more than its cgroup's CPU quota. Values that are not positive integers are ignored.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

from . import _native

if TYPE_CHECKING:
    from contextlib import _GeneratorContextManager

__all__ = ["get_num_threads", "register_threadpoolctl", "set_num_threads", "thread_limit"]

_MAX_THREADS = 1024  # PQK_MAX_THREADS in csrc/core/pool.h


def get_num_threads() -> int:
    """Return how many threads a call from this thread may use.

    Returns
    -------
    n : int
        The limit of the enclosing `thread_limit`, else the number set by `set_num_threads`, else the default.

    Examples
    --------
    >>> with thread_limit(2):
    ...     get_num_threads()
    2
    """
    return int(_native.get_num_threads())


def set_num_threads(n: SupportsIndex) -> None:
    """Set how many threads a call may use, for the whole process.

    Parameters
    ----------
    n : int
        In [1, 1024]. May exceed the number of CPUs, which rarely helps.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is out of range.

    See Also
    --------
    thread_limit : The same for a block of code, and for the current thread alone.
    """
    _native.set_num_threads(_checked(n))


def thread_limit(n: SupportsIndex) -> _GeneratorContextManager[None]:
    """Let calls from the current thread use at most `n` threads, within a ``with`` block or a function.

    Other threads keep their own setting, so one part of a program can run serially beside another that does not.
    In a coroutine the limit also holds for whatever else runs on the event loop's thread until the block ends.

    Parameters
    ----------
    n : int
        In [1, 1024]. Takes the place of the process-wide number, also where it is larger.

    Returns
    -------
    limit : context manager, also usable as a decorator

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is out of range.

    Examples
    --------
    >>> with thread_limit(1):
    ...     get_num_threads()
    1

    >>> @thread_limit(3)
    ... def job():
    ...     return get_num_threads()
    >>> job()
    3
    """
    return _limited(_checked(n))  # n is refused here, not on entering the block


def register_threadpoolctl() -> bool:
    """Make pyquantk known to `threadpoolctl`, so that ``threadpool_limits`` and ``threadpool_info`` include it.

    Done by ``import pyquantk`` if `threadpoolctl` has been imported before; call it where the order is the other one.
    Calling it again does nothing. The user API is called ``"pyquantk"``.

    Returns
    -------
    registered : bool
        False if `threadpoolctl` is not installed.
    """
    global _registered
    if not _registered:
        try:
            import threadpoolctl  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            return False
        threadpoolctl.register(_make_controller(threadpoolctl.LibController))
        _registered = True
    return True


_registered = False


def _checked(n: SupportsIndex) -> int:
    try:
        value = index(n)
    except TypeError:
        raise TypeError(f"n must be an integer, not {n!r} of type {type(n).__name__}") from None
    if not 1 <= value <= _MAX_THREADS:
        raise ValueError(f"n must be in [1, {_MAX_THREADS}], not {value}")
    return value


@contextmanager
def _limited(n: int) -> Iterator[None]:
    before = _native.set_thread_limit(n)
    try:
        yield
    finally:
        _native.set_thread_limit(before)


def _make_controller(base: Any) -> Any:
    """Return the subclass of ``threadpoolctl.LibController`` for the extension module."""

    class PyquantkController(base):  # type: ignore[misc]
        user_api = "pyquantk"
        internal_api = "pyquantk"
        # The file is _native.<tag>.so, a name that others use too; only ours exports these functions.
        filename_prefixes = ("_native",)
        check_symbols = ("pqk_get_num_threads", "pqk_set_num_threads", "pqk_set_thread_limit")

        def get_num_threads(self) -> int:
            return int(self.dynlib.pqk_get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            # Inside a thread_limit block that limit is what counts, and what is put back afterwards.
            if self.dynlib.pqk_set_thread_limit(num_threads) == 0:
                self.dynlib.pqk_set_thread_limit(0)
                self.dynlib.pqk_set_num_threads(num_threads)

        def get_version(self) -> str:
            from . import __version__

            return str(__version__)

    return PyquantkController


if "threadpoolctl" in sys.modules:
    register_threadpoolctl()
