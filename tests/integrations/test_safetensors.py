"""safetensors files: what is read is what was written, and what lies is refused before it is used."""

from __future__ import annotations

import errno
import itertools
import json
import os

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyquantk.integrations.checkpoints import CheckpointError, SafetensorsFile, SafetensorsWriter, StagedFiles
from pyquantk.integrations.checkpoints.header import DTYPES, MAX_HEADER_BYTES, layout, serialize_header


def write(path, arrays, metadata=None):
    """Arrays as (name, dtype, array)."""
    with StagedFiles() as files:
        shapes = [(name, dtype, array.shape) for name, dtype, array in arrays]
        with SafetensorsWriter(files, path, shapes, metadata) as writer:
            for name, _, array in arrays:
                writer.write(name, np.ascontiguousarray(array))
        files.commit()


def file_of(header, data=b""):
    """A file with this header, given as an object, text or bytes."""
    if not isinstance(header, bytes):
        header = (header if isinstance(header, str) else json.dumps(header)).encode()
    return len(header).to_bytes(8, "little") + header + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def opens(path, content):
    path.write_bytes(content)
    return SafetensorsFile(path)


WHOLE = sorted(name for name, dtype in DTYPES.items() if dtype.numpy is not None)


@pytest.mark.parametrize("dtype", WHOLE)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 0, 4), (7, 3, 2)])
def test_round_trip_of_every_dtype(tmp_path, dtype, shape):
    numpy = DTYPES[dtype].numpy
    size = int(np.prod(shape)) * numpy.itemsize
    raw = np.random.default_rng(0).integers(0, 2 if dtype == "BOOL" else 256, size, np.uint8)
    array = raw.view(numpy).reshape(shape)
    write(tmp_path / "a.safetensors", [("x", dtype, array)], {"format": "pt"})
    with SafetensorsFile(tmp_path / "a.safetensors") as file:
        assert file.metadata == {"format": "pt"}
        found = file["x"]
        assert (found.dtype, found.shape) == (numpy, shape)
        assert found.tobytes() == raw.tobytes()
        assert not found.flags.writeable or found.size == 0


def test_packed_dtypes_are_read_as_bytes(tmp_path):
    data = np.arange(3, dtype=np.uint8)
    content = file_of({"f4": entry("F4", (6,), (0, 3)), "f6": entry("F6_E3M2", (2, 2), (3, 6))}, data.tobytes() * 2)
    with opens(tmp_path / "b.safetensors", content) as file:
        assert file.raw("f4").tolist() == file.raw("f6").tolist() == [0, 1, 2]
        with pytest.raises(CheckpointError, match=r"b\.safetensors: tensor 'f4' of dtype F4 is packed"):
            file["f4"]
    with pytest.raises(CheckpointError, match=r"'f4'.*12 bits, not a whole number of bytes"):
        opens(tmp_path / "c.safetensors", file_of({"f4": entry("F4", (3,), (0, 2))}, b"ab"))


def test_views_outlive_the_file(tmp_path):
    write(tmp_path / "a.safetensors", [("x", "I32", np.arange(5, dtype="<i4"))])
    with SafetensorsFile(tmp_path / "a.safetensors") as file:
        view = file["x"]
    assert view.tolist() == [0, 1, 2, 3, 4]


def test_rows_and_pieces_cover_a_tensor_larger_than_the_window(tmp_path):
    array = np.arange(3 * 1024 * 1024, dtype="<i8").reshape(-1, 1024)  # 24 MB
    write(tmp_path / "a.safetensors", [("x", "I64", array)])
    with SafetensorsFile(tmp_path / "a.safetensors") as file:
        np.testing.assert_array_equal(np.concatenate(list(file.rows("x", 100))), array)
        for first in (0, 1, 1_000_000, array.nbytes):
            assert b"".join(p.tobytes() for p in file.pieces("x", 1_000_003, first)) == array.tobytes()


def test_every_tensor_is_aligned_for_its_dtype(tmp_path):
    arrays = [(f"{i}", d, np.zeros(3, DTYPES[d].numpy)) for i, d in enumerate(["I8", "F64", "BF16", "F32", "I8"])]
    write(tmp_path / "a.safetensors", arrays, {"k": "v"})
    with SafetensorsFile(tmp_path / "a.safetensors") as file:
        assert all(file[name].flags.aligned for name in file.tensors)


def test_unaligned_tensors_are_read(tmp_path):
    content = file_of({"a": entry("U8", (1,), (0, 1)), "b": entry("F32", (2,), (1, 9))}, b"\x07" + b"\0\0\x80\x3f" * 2)
    with opens(tmp_path / "a.safetensors", content) as file:
        assert file["b"].tolist() == [1.0, 1.0]


def test_the_reference_implementation_agrees(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="the safetensors package is not installed")
    rng = np.random.default_rng(1)
    arrays = {
        "a.weight": rng.normal(size=(4, 3)).astype("f4"),
        "é\n": np.arange(5),
        "z": np.float16(rng.normal(size=())),
    }
    safetensors.save_file({k: np.asarray(v) for k, v in arrays.items()}, tmp_path / "a.safetensors", {"k": "ü"})
    with SafetensorsFile(tmp_path / "a.safetensors") as file:
        assert file.metadata == {"k": "ü"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)
    names = {"<f4": "F32", "<i8": "I64", "<f2": "F16"}
    write(tmp_path / "b.safetensors", [(k, names[np.asarray(v).dtype.str], np.asarray(v)) for k, v in arrays.items()])
    for name, array in safetensors.load_file(tmp_path / "b.safetensors").items():
        np.testing.assert_array_equal(array, arrays[name])


GOOD = entry()
LIES = {
    "empty file": (b"", "0 bytes are too few"),
    "short length": (b"\x02\0\0", "3 bytes are too few"),
    "truncated header": (file_of({"x": GOOD})[:30], "the header should take"),
    "header of 2^64 bytes": (b"\xff" * 8 + b"{}", "more than the limit"),
    "header past the end": ((50).to_bytes(8, "little") + b"{}", "should take 50 bytes, but only 2 follow"),
    "no header": (file_of(b""), "not a valid JSON object"),
    "not JSON": (file_of(b"{'x': 1}"), "not a valid JSON object"),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "not a valid JSON object"),
    "UTF-16": (file_of("{}".encode("utf-16")), "not a valid JSON object"),
    "byte-order mark": (file_of(b"\xef\xbb\xbf{}"), "not a valid JSON object"),
    "a list": (file_of("[]"), "must be a JSON object, not list"),
    "deep nesting": (file_of("[" * 200_000), "not a valid JSON object"),
    "NaN": (file_of('{"x": NaN}'), "NaN is not JSON"),
    "integer of 5000 digits": (file_of('{"x": ' + "9" * 5000 + "}"), "not a valid JSON object"),
    "duplicate name": (file_of('{"x": %s, "x": %s}' % ((json.dumps(GOOD),) * 2), b"8bytes.."), "'x' appears twice"),
    "duplicate key": (file_of('{"x": {"dtype": "U8", "dtype": "F32"}}'), "'dtype' appears twice"),
    "half a surrogate pair": (file_of(json.dumps({"\ud800": GOOD}), b"8bytes.."), "not valid Unicode"),
    "entry no object": (file_of({"x": 3}), "'x' must have exactly dtype, shape and data_offsets"),
    "entry short": (file_of({"x": {"dtype": "F32", "shape": []}}), "must have exactly"),
    "entry with more": (file_of({"x": {**GOOD, "stride": [1]}}, b"8bytes.."), "must have exactly"),
    "unknown dtype": (file_of({"x": entry("F128")}, b"8bytes.."), 'dtype "F128", which is none of'),
    "dtype no string": (file_of({"x": entry(["F32"])}, b"8bytes.."), "which is none of"),
    "shape no list": (file_of({"x": {**GOOD, "shape": 2}}, b"8bytes.."), "has shape 2, not a list"),
    "negative shape": (file_of({"x": entry(shape=(-2, -1))}, b"8bytes.."), "non-negative integers"),
    "fractional shape": (file_of({"x": entry(shape=(2.0,))}, b"8bytes.."), "non-negative integers"),
    "boolean shape": (file_of({"x": entry(shape=(True, 2))}, b"8bytes.."), "non-negative integers"),
    "65 dimensions": (file_of({"x": entry(shape=(1,) * 64 + (2,))}, b"8bytes.."), "at most 64"),
    "shape overflows 2^64 to 8 bytes": (
        file_of({"x": entry(shape=(2**61, 8, 1))}, b"8bytes.."),
        "larger than 2\\*\\*63",
    ),
    "shape overflows to zero": (file_of({"x": entry(shape=(2**32, 2**32), offsets=(0, 0))}), "larger than 2\\*\\*63"),
    "huge but empty shape": (file_of({"x": entry(shape=(0, 2**62, 2**62), offsets=(0, 0))}), "larger than 2\\*\\*63"),
    "one offset": (file_of({"x": entry(offsets=(8,))}, b"8bytes.."), "has data_offsets"),
    "negative offset": (file_of({"x": entry(offsets=(-8, 0))}, b"8bytes.."), "has data_offsets"),
    "reversed offsets": (file_of({"x": entry(offsets=(8, 0))}, b"8bytes.."), "has data_offsets"),
    "offsets unlike the shape": (
        file_of({"x": entry(shape=(3,))}, b"8bytes.."),
        "takes 12 bytes, its data_offsets span 8",
    ),
    "offsets past the end": (
        file_of({"x": entry(shape=(4,), offsets=(0, 16))}, b"8bytes.."),
        "16 bytes of data, the file has 8",
    ),
    "data after the end": (file_of({"x": GOOD}, b"8bytes..more"), "8 bytes of data, the file has 12"),
    "overlap": (file_of({"x": GOOD, "y": entry(offsets=(4, 12))}, b"12bytes....."), "'y' overlaps"),
    "the same bytes twice": (file_of({"x": GOOD, "y": GOOD}, b"8bytes.."), "'y' overlaps"),
    "gap": (file_of({"x": GOOD, "y": entry(offsets=(12, 20))}, b"20bytes............."), "'y' leaves a gap"),
    "gap at the start": (file_of({"x": entry(offsets=(8, 16))}, b"16bytes........."), "'x' leaves a gap"),
    "metadata no object": (file_of({"__metadata__": []}), "__metadata__ must map strings"),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}}), "__metadata__ must map strings"),
}


@pytest.mark.parametrize(("content", "message"), LIES.values(), ids=LIES.keys())
def test_a_lying_header_is_a_clear_error(tmp_path, content, message):
    with pytest.raises(CheckpointError, match=rf"lie\.safetensors: .*{message}"):
        opens(tmp_path / "lie.safetensors", content)


def test_a_header_of_more_than_100_mb_is_refused_unread(tmp_path):
    path = tmp_path / "big.safetensors"
    with path.open("wb") as file:
        file.write((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{")
        file.truncate(MAX_HEADER_BYTES + 9)  # sparse
    with pytest.raises(CheckpointError, match="more than the limit of 100000000"):
        SafetensorsFile(path)


def test_an_empty_header_is_valid(tmp_path):
    with opens(tmp_path / "a.safetensors", file_of("{}")) as file:
        assert not file.tensors


VALID = file_of(
    {
        "__metadata__": {"format": "pt"},
        "a.weight": entry("F32", (2, 3), (0, 24)),
        "b": entry("BF16", (4,), (24, 32)),
        "empty": entry("I64", (0, 5), (32, 32)),
        "c": entry("F4", (2,), (32, 33)),
    },
    bytes(range(33)),
)
HEADER_END = 8 + int.from_bytes(VALID[:8], "little")


def check(path, content):
    """Open `content`: every tensor it offers must lie inside it. Returns whether it was accepted."""
    try:
        file = opens(path, content)
    except CheckpointError as error:
        assert str(path) in str(error)  # noqa: PT017 - anything but CheckpointError fails the test by itself
        return False
    with file:
        assert sum(file.raw(name).nbytes for name in file.tensors) + 8 <= len(content)
        for name, info in file.tensors.items():
            assert DTYPES[info.dtype].numpy is None or file[name].shape == info.shape
    return True


def reference_accepts(content):
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError:
        return True
    try:
        deserialize(content)
    except SafetensorError:
        return False
    return True


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(
    edits=st.lists(st.tuples(st.integers(0, HEADER_END - 1), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.one_of(st.none(), st.integers(0, len(VALID) + 8)),
)
def test_mutated_bytes_are_refused_or_harmless(tmp_path, edits, cut):
    content = bytearray(VALID)
    for position, byte in edits:
        content[position] = byte
    content = bytes(content + bytes(8))[: len(VALID) if cut is None else cut]
    if check(tmp_path / "m.safetensors", content):
        assert reference_accepts(content)


NUMBERS = st.one_of(
    st.integers(-2, 40),
    st.sampled_from([2**31, 2**32, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64]),
    st.integers(),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.floats(), st.text(max_size=8), st.sampled_from(sorted(DTYPES))),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.one_of(st.sampled_from(sorted(DTYPES)), JSON),
        "shape": st.one_of(st.lists(NUMBERS, max_size=4), JSON),
        "data_offsets": st.one_of(st.lists(NUMBERS, min_size=2, max_size=2), JSON),
    }
)


@FUZZ
@given(
    header=st.dictionaries(st.one_of(st.text(max_size=6), st.just("__metadata__")), st.one_of(ENTRY, JSON), max_size=4),
    size=st.integers(0, 64),
)
def test_invented_headers_are_refused_or_harmless(tmp_path, header, size):
    content = file_of(header, bytes(size))
    if check(tmp_path / "m.safetensors", content):
        assert reference_accepts(content)


@FUZZ
@given(
    st.lists(st.tuples(st.sampled_from(WHOLE), st.lists(st.integers(0, 5), max_size=3)), max_size=6),
    st.text(max_size=5),
)
def test_written_headers_are_accepted(tmp_path, tensors, text):
    placed = layout((f"{i}{text}", dtype, tuple(shape)) for i, (dtype, shape) in enumerate(tensors))
    content = serialize_header(placed, {text: text} if text else {}) + bytes(placed[-1].end if placed else 0)
    assert check(tmp_path / "m.safetensors", content)
    assert reference_accepts(content)


class TestWriter:
    def test_counts_the_bytes_of_each_tensor(self, tmp_path):
        with StagedFiles() as files:
            writer = SafetensorsWriter(files, tmp_path / "a.safetensors", [("x", "F32", (2,))])
            writer.write("x", np.zeros(1, np.float32))
            with pytest.raises(ValueError, match="'x' received 4 of its 8 bytes"):
                writer.finish()
            with pytest.raises(ValueError, match="'x' exceeds its 8 bytes"):
                writer.write("x", np.zeros(2, np.float32))
        assert list(tmp_path.iterdir()) == []

    def test_takes_tensors_in_any_order_and_ml_dtypes(self, tmp_path):
        a, b = np.arange(3, dtype=ml_dtypes.bfloat16), np.arange(4, dtype=ml_dtypes.float8_e4m3fn)
        with StagedFiles() as files:
            with SafetensorsWriter(
                files, tmp_path / "a.safetensors", [("a", "BF16", (3,)), ("b", "F8_E4M3", (4,))]
            ) as writer:
                writer.write("b", b[:2])
                writer.write("a", a)
                writer.write("b", b[2:])
            files.commit()
        with SafetensorsFile(tmp_path / "a.safetensors") as file:
            assert file["a"].tolist() == [0, 1, 2]
            assert file["b"].tolist() == [0, 1, 2, 3]


class TestStagedFiles:
    @pytest.fixture
    def old(self, tmp_path):
        for name in "ab":
            (tmp_path / name).write_text("old " + name)
        return tmp_path

    def state(self, folder):
        return {p.name: p.read_text() for p in folder.iterdir()}

    def replace_both(self, folder):
        with StagedFiles() as files:
            for name in "ab":
                files.write_text(folder / name, "new " + name)
            files.commit()

    def test_files_appear_together(self, old):
        self.replace_both(old)
        assert self.state(old) == {"a": "new a", "b": "new b"}

    def test_nothing_happens_without_commit(self, old):
        with StagedFiles() as files:
            files.make_directory(old / "c" / "d")
            files.write_text(old / "a", "new")
            files.write_text(old / "c" / "d" / "e", "new")
        assert self.state(old) == {"a": "old a", "b": "old b"}

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
    @pytest.mark.parametrize("call", ["open", "write", "fsync"])
    @pytest.mark.parametrize("nth", [0, 1])
    def test_a_failure_leaves_the_old_files(self, old, monkeypatch, error, call, nth):
        real, calls = getattr(os, call), itertools.count()

        def failing(*args, **kwargs):
            if next(calls) == nth:
                raise error
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            with pytest.raises(type(error)):
                self.replace_both(old)
        assert self.state(old) == {"a": "old a", "b": "old b"}

    def test_short_writes_are_continued(self, old, monkeypatch):
        real = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
            self.replace_both(old)
        assert self.state(old) == {"a": "new a", "b": "new b"}

    def test_ctrl_c_during_the_renames_waits_for_their_end(self, old, monkeypatch):
        import signal

        real = os.replace

        def interrupted(source, target):
            signal.raise_signal(signal.SIGINT)
            real(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", interrupted)
            with pytest.raises(KeyboardInterrupt):
                self.replace_both(old)
        assert self.state(old) == {"a": "new a", "b": "new b"}

    def test_a_folder_in_the_way_is_an_error(self, old):
        (old / "a").unlink()
        (old / "a").mkdir()
        with pytest.raises(IsADirectoryError, match="a folder is in the way"):
            self.replace_both(old)
        assert (old / "b").read_text() == "old b"

    @pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
    def test_permissions_follow_the_umask(self, old):
        saved = os.umask(0o027)
        try:
            self.replace_both(old)
        finally:
            os.umask(saved)
        assert (old / "a").stat().st_mode & 0o777 == 0o640
