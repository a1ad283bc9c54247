"""Files that appear complete or not at all, several together."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

__all__ = ["StagedFile", "StagedFiles"]


class StagedFile:
    """One file under a temporary name beside its final one, so that the rename stays within a file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Hidden and random: a second run into the same folder gets its own. Mode 0o666 so that the umask decides.
        self.temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.tmp")
        self._descriptor: int | None = None
        self._position = 0

    def open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(self.temporary, flags, 0o666)

    def write_at(self, position: int, data: bytes | memoryview) -> None:
        """Write all of `data`, whatever the system takes at a time."""
        assert self._descriptor is not None, "the file is not open"
        if position != self._position:
            os.lseek(self._descriptor, position, os.SEEK_SET)
            self._position = position
        view = memoryview(data)
        while len(view):
            written = os.write(self._descriptor, view)
            if written == 0:
                raise OSError(errno.EIO, "the file takes no more data", str(self.path))
            self._position += written
            view = view[written:]

    def finish(self) -> None:
        """Wait until the bytes are on the disk, and close."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            self._close()

    def discard(self) -> None:
        self._close()
        with suppress(FileNotFoundError):
            os.unlink(self.temporary)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class StagedFiles:
    """A set of files that replaces what was there in one go, or leaves everything as it was.

    Files are written under temporary names and flushed; `commit` renames them in the order of their creation, so what
    refers to the others (an index) is created last. An exception, Ctrl-C included, before `commit` removes
    them; during the renames signals wait.

    Examples
    --------
    >>> with StagedFiles() as files:  # doctest: +SKIP
    ...     files.write_text("out/config.json", "{}")
    ...     files.commit()
    """

    def __init__(self) -> None:
        self._files: list[StagedFile] = []
        self._made: list[Path] = []

    def __enter__(self) -> StagedFiles:
        return self

    def make_directory(self, path: Path) -> None:
        """Create `path` and its parents; they go again if nothing is committed."""
        missing = []
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        for directory in reversed(missing):
            directory.mkdir()
            self._made.append(directory)

    def create(self, path: str | os.PathLike[str]) -> StagedFile:
        path = Path(path)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder is in the way of the file", str(path))
        file = StagedFile(path)
        self._files.append(file)  # before it exists: an interrupt in between must not leave it behind
        file.open()
        return file

    def write_bytes(self, path: str | os.PathLike[str], data: bytes) -> None:
        self.create(path).write_at(0, data)

    def write_text(self, path: str | os.PathLike[str], text: str) -> None:
        self.write_bytes(path, text.encode("utf-8"))

    def copy(self, source: Path, path: str | os.PathLike[str]) -> None:
        file, position = self.create(path), 0
        with source.open("rb") as original:
            while part := original.read(1 << 20):
                file.write_at(position, part)
                position += len(part)

    def commit(self) -> None:
        """Give every file its name."""
        for file in self._files:
            file.finish()
        with _signals_wait():
            for file in self._files:
                os.replace(file.temporary, file.path)
            for directory in {file.path.parent for file in self._files}:
                _sync_directory(directory)
            self._files, self._made = [], []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _signals_wait():
            for file in self._files:
                with suppress(OSError):
                    file.discard()
            for directory in reversed(self._made):
                with suppress(OSError):  # no longer empty: somebody else uses it
                    directory.rmdir()


def _sync_directory(path: Path) -> None:
    if os.name != "posix":
        return  # Windows has no way to open a folder for this
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back within the block. Handlers run in the main thread only, so others need nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    saved = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        # None stands for a handler not installed from Python, which could not be put back.
        if signal.getsignal(number) is not None:
            saved[number] = signal.signal(number, lambda n, _: arrived.append(n))
    try:
        yield
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)
