"""The job: codes, scales, config and index as the formula and the layout say; failures that leave no trace."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import ml_dtypes
import numpy as np
import pytest

from pyquantk.integrations.checkpoints import (
    CheckpointError,
    SafetensorsFile,
    SafetensorsWriter,
    StagedFiles,
    open_checkpoint,
    quantize_checkpoint,
)
from pyquantk.integrations.checkpoints.header import DTYPES

RNG = np.random.default_rng(7)
DTYPE_OF = {dtype.numpy: name for name, dtype in DTYPES.items() if dtype.numpy is not None}


def save(path, arrays, metadata=None):
    with StagedFiles() as files:
        shapes = [(name, DTYPE_OF[array.dtype], array.shape) for name, array in arrays.items()]
        with SafetensorsWriter(files, path, shapes, metadata) as writer:
            for name, array in arrays.items():
                writer.write(name, np.ascontiguousarray(array))
        files.commit()


def load(path):
    with SafetensorsFile(path) as file:
        return {name: np.array(file[name]) for name in file.tensors}


def normal(*shape, dtype=np.float32):
    return RNG.normal(size=shape).astype(dtype)


def model(dtype=np.float32):
    return {
        "embed_tokens.weight": normal(50, 16, dtype=dtype),
        "layers.0.q.weight": normal(24, 16, dtype=dtype),
        "layers.0.q.bias": normal(24, dtype=dtype),
        "layers.0.norm.weight": normal(16, dtype=dtype),
        "layers.0.conv.weight": normal(4, 4, 3, dtype=dtype),
        "layers.1.down.weight": normal(16, 32, dtype=dtype),
        "layers.1.table.weight": np.arange(12, dtype=np.int64).reshape(3, 4),
        "positions": np.arange(6, dtype=np.int64).reshape(1, 6),
        "empty.weight": np.empty((0, 16), dtype),
        "lm_head.weight": normal(50, 16, dtype=dtype),
    }


QUANTIZED = ["layers.0.q.weight", "layers.1.down.weight"]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    save(folder / "model.safetensors", model(), {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"architectures": ["XForCausalLM"], "hidden_size": 16, "ü": "ü"}))
    (folder / "tokenizer.json").write_text('{"a": 1}')
    (folder / "pytorch_model.bin").write_bytes(b"unrelated")
    return folder


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def blocks(array, options):
    """`array` (N, K) as rows that share a scale, and the shape of the scales."""
    if block := options.get("block_size"):
        return array.reshape(-1, block), (len(array), array.shape[1] // block)
    if options.get("axis", 0) is None:
        return array.reshape(1, -1), (1,)
    return array, (len(array), 1)


OPTIONS = [
    {},
    {"symmetric": False},
    {"axis": None},
    {"axis": None, "symmetric": False},
    {"block_size": 8},
    {"block_size": 4, "symmetric": False},
    {"dtype": "int4"},
    {"dtype": "int4", "block_size": 16, "symmetric": False},
]
FLOATS = [
    np.float32,
    np.float64,
    np.float16,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e4m3fnuz,
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: np.dtype(d).name)
def test_codes_follow_the_formula(tmp_path, dtype, options):
    arrays = {
        "a.weight": normal(70, 48, dtype=dtype),
        "b.weight": normal(3, 16, dtype=dtype),
        "b.bias": normal(3, dtype=dtype),
    }
    arrays["a.weight"][5] = 0  # a channel without range
    save(tmp_path / "in.safetensors", arrays)
    report = quantize_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors", **options)
    found = load(tmp_path / "out.safetensors")
    high = 127 if options.get("dtype", "int8") == "int8" else 7
    for result in report.tensors:
        x, q, scale = arrays[result.name].astype(np.float32), found[result.name], found[result.name + "_scale"]
        rows, shape = blocks(x, options)
        codes = q.reshape(rows.shape)
        assert (q.dtype, scale.dtype, scale.shape) == (np.int8, np.float32, shape)
        low, s = -high - 1, scale.reshape(-1, 1)
        if options.get("symmetric", True):
            zero = np.zeros_like(s)
            ranged = np.abs(rows).max(axis=1) > 0
            np.testing.assert_array_equal(s[ranged, 0], (np.abs(rows).max(axis=1) / np.float32(high))[ranged])
        else:
            zero = found[result.name + "_zero_point"].reshape(-1, 1).astype(np.float32)
            assert found[result.name + "_zero_point"].shape == shape
        np.testing.assert_array_equal(codes, np.clip(np.rint(rows / s) + zero, low, high))
        error = (codes - zero) * s - rows
        assert result.max_abs_error == np.abs(error).max()
        noise, signal = (error.astype(np.float64) ** 2).sum(), (rows.astype(np.float64) ** 2).sum()
        assert result.sqnr_db == pytest.approx(10 * math.log10(signal / noise), abs=1e-3)
    assert found["b.bias"].tobytes() == arrays["b.bias"].tobytes()


def test_blocks_and_threads_do_not_show(tmp_path):
    """Tensors of many blocks, with a short last one, equal the tensor quantized whole."""
    import pyquantk as qk

    arrays = {"a.weight": normal(1003, 300), "b.weight": normal(2, 200_000), "c.weight": normal(200_000, 1)}
    save(tmp_path / "in.safetensors", arrays)
    for threads in (1, 2):
        with qk.thread_limit(threads):
            quantize_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors")
        found = load(tmp_path / "out.safetensors")
        for name, x in arrays.items():
            p = qk.choose_params(x, "int8", axis=0)
            np.testing.assert_array_equal(found[name], qk.quantize(x, p.scale, p.zero_point, dtype="int8", axis=0))
            np.testing.assert_array_equal(found[name + "_scale"][:, 0], p.scale)


def test_unaligned_input_gives_the_same_output(tmp_path):
    x = normal(9, 33)
    save(tmp_path / "aligned.safetensors", {"a.weight": x})
    header = {
        "pad": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "a.weight": {"dtype": "F32", "shape": [9, 33], "data_offsets": [1, 1 + x.nbytes]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "odd.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\0" + x.tobytes())
    for name in ("aligned", "odd"):
        quantize_checkpoint(tmp_path / f"{name}.safetensors", tmp_path / name / "out.safetensors")
    a, b = load(tmp_path / "aligned/out.safetensors"), load(tmp_path / "odd/out.safetensors")
    for name in ("a.weight", "a.weight_scale"):
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("factor", [1e-30, 1e-20, 1e20, 1e37])
def test_error_measures_survive_extreme_magnitudes(tmp_path, factor):
    x = (normal(8, 64) * np.float32(factor)).astype(np.float32)
    save(tmp_path / "in.safetensors", {"a.weight": x})
    (result,) = quantize_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors").tensors
    assert 40 < result.sqnr_db < 50


def test_a_range_beyond_float32_has_a_finite_scale(tmp_path):
    save(tmp_path / "in.safetensors", {"a.weight": np.array([[-3e38, 3e38, 1e38]], np.float32)})
    (result,) = quantize_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors", symmetric=False).tensors
    assert 40 < result.sqnr_db < math.inf


def test_default_choice_and_everything_else_untouched(source, tmp_path):
    report = quantize_checkpoint(source, tmp_path / "out")
    assert [t.name for t in report.tensors] == sorted(QUANTIZED)
    before, after = load(source / "model.safetensors"), load(tmp_path / "out/model.safetensors")
    assert set(after) == set(before) | {name + "_scale" for name in QUANTIZED}
    for name in set(before) - set(QUANTIZED):
        assert after[name].dtype == before[name].dtype
        assert after[name].tobytes() == before[name].tobytes()
    with SafetensorsFile(tmp_path / "out/model.safetensors") as file:
        assert file.metadata == {"format": "pt"}
    assert report.kept == len(before) - 2
    assert report.bytes_before == (source / "model.safetensors").stat().st_size
    assert report.bytes_after == (tmp_path / "out/model.safetensors").stat().st_size
    assert sorted(p.name for p in report.files) == sorted(p.name for p in (tmp_path / "out").iterdir())
    assert (tmp_path / "out/tokenizer.json").read_text() == '{"a": 1}'
    assert not (tmp_path / "out/pytorch_model.bin").exists()


def test_config_names_every_linear_module_that_stays(source, tmp_path):
    quantize_checkpoint(source, tmp_path / "out", exclude=["*.down.*"])
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert (config["hidden_size"], config["ü"]) == (16, "ü")
    weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False}
    activations = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    found = config["quantization_config"]
    assert sorted(found.pop("ignore")) == ["layers.1.down", "lm_head"]
    assert found == {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": weights,
                "input_activations": activations,
                "format": "int-quantized",
            }
        },
    }


@pytest.mark.parametrize("value", [[], {}, 3, None, "\ud800", [3, None]], ids=ascii)
def test_strange_configs_pass_through(source, tmp_path, value):
    strange = {"architectures": value, "model_type": value, "x": value}
    (source / "config.json").write_text(json.dumps(strange))
    quantize_checkpoint(source, tmp_path / "out")
    found = json.loads((tmp_path / "out/config.json").read_text())
    assert {name: found[name] for name in strange} == strange


def test_config_ignores_a_tied_head(source, tmp_path):
    arrays = model()
    del arrays["lm_head.weight"]
    save(source / "model.safetensors", arrays)
    quantize_checkpoint(source, tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["quantization_config"]["ignore"] == ["re:.*lm_head"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"block_size": 8}, {"strategy": "group", "group_size": 8, "num_bits": 8, "symmetric": True}),
        ({"axis": None}, {"strategy": "tensor", "num_bits": 8, "symmetric": True}),
        ({"symmetric": False, "dtype": "int4"}, {"strategy": "channel", "num_bits": 4, "symmetric": False}),
    ],
)
def test_config_of_weight_only_forms(source, tmp_path, options, expected):
    quantize_checkpoint(source, tmp_path / "out", **options)
    group = json.loads((tmp_path / "out/config.json").read_text())["quantization_config"]["config_groups"]["group_0"]
    assert group["weights"] == {"type": "int", "dynamic": False, **expected}
    assert group["input_activations"] is None


def test_include_replaces_the_default_choice(source, tmp_path):
    report = quantize_checkpoint(source, tmp_path / "out", include=["embed*", "*.q.weight"], exclude=["nothing*"])
    assert sorted(t.name for t in report.tensors) == ["embed_tokens.weight", "layers.0.q.weight"]
    groups = json.loads((tmp_path / "out/config.json").read_text())["quantization_config"]["config_groups"]
    assert {name: g["targets"] for name, g in groups.items()} == {"group_0": ["Linear"], "group_1": ["embed_tokens"]}
    assert groups["group_1"]["input_activations"] is None  # its inputs are indices


class TestWhereItGoes:
    def test_a_file_beside_an_unquantized_model_leaves_its_config(self, source):
        before = (source / "config.json").read_bytes()
        report = quantize_checkpoint(source / "model.safetensors", source / "small.safetensors")
        assert (source / "config.json").read_bytes() == before
        assert report.files[-1] == source / "small.config.json"
        assert "quantization_config" in json.loads((source / "small.config.json").read_text())

    def test_a_file_beside_the_input_is_no_config_for_the_input(self, source):
        (source / "config.json").unlink()
        for name in ("a", "b"):
            quantize_checkpoint(source / "model.safetensors", source / f"{name}.safetensors")
        assert not (source / "config.json").exists()

    def test_a_file_elsewhere_gets_config_json_and_replaces_it(self, source, tmp_path):
        for _ in range(2):
            report = quantize_checkpoint(source / "model.safetensors", tmp_path / "new/deep/small.safetensors")
        assert sorted(p.name for p in (tmp_path / "new/deep").iterdir()) == ["config.json", "small.safetensors"]
        assert report.files == [tmp_path / "new/deep/small.safetensors", tmp_path / "new/deep/config.json"]

    def test_without_a_config_there_is_one_with_the_quantization_alone(self, source, tmp_path):
        (source / "config.json").unlink()
        quantize_checkpoint(source / "model.safetensors", tmp_path / "out")
        assert list(json.loads((tmp_path / "out/config.json").read_text())) == ["quantization_config"]

    def test_the_input_is_never_replaced(self, source, tmp_path):
        try:
            (tmp_path / "link").symlink_to(source)
        except OSError:
            pytest.skip("symbolic links need a privilege here")
        before = snapshot(source)
        for output in (source, source / "model.safetensors", tmp_path / "link", tmp_path / "link/model.safetensors"):
            with pytest.raises(ValueError, match="is the input"):
                quantize_checkpoint(source, output)
        assert snapshot(source) == before

    def test_the_output_must_be_a_folder_or_safetensors(self, source, tmp_path):
        (tmp_path / "x.bin").write_text("")
        with pytest.raises(ValueError, match=r"must be a \.safetensors file or a folder"):
            quantize_checkpoint(source, tmp_path / "x.bin")


class TestShards:
    @pytest.fixture
    def shards(self, tmp_path):
        folder = tmp_path / "sharded"
        folder.mkdir()
        arrays = model(ml_dtypes.bfloat16)
        names = list(arrays)
        parts = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
        for shard, part in parts.items():
            save(folder / shard, {name: arrays[name] for name in part}, {"format": "pt"})
        index = {
            "metadata": {"total_size": 1, "x": "y"},
            "weight_map": {n: s for s, part in parts.items() for n in part},
        }
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        return folder

    @pytest.mark.parametrize("name", ["", "model.safetensors.index.json"])
    def test_taken_whole(self, shards, tmp_path, name):
        report = quantize_checkpoint(shards / name, tmp_path / "out")
        assert sorted(t.name for t in report.tensors) == sorted(QUANTIZED)
        assert report.files[-1].name == "model.safetensors.index.json"
        index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
        with open_checkpoint(tmp_path / "out") as found:  # checks the index against the shards
            assert index["metadata"] == {"total_size": sum(t.nbytes for t in found.tensors.values()), "x": "y"}
            assert "layers.1.down.weight_scale" in found.tensors
            assert set(found.files) == {p.name for p in shards.glob("*.safetensors")}

    def test_needs_a_folder(self, shards, tmp_path):
        with pytest.raises(ValueError, match="2 shards needs a folder"):
            quantize_checkpoint(shards, tmp_path / "out.safetensors")

    @pytest.mark.parametrize(
        ("edit", "error", "message"),
        [
            (
                lambda m: m.update({"ghost": "model-00001-of-00002.safetensors"}),
                CheckpointError,
                "'ghost' should be in",
            ),
            (lambda m: m.pop("positions"), CheckpointError, "'positions' of .* is missing from weight_map"),
            (
                lambda m: m.update({"positions": "../in/model.safetensors"}),
                CheckpointError,
                "no .safetensors file beside",
            ),
            (lambda m: m.update({"positions": "/etc/passwd"}), CheckpointError, "no .safetensors file beside"),
            (lambda m: m.update({"positions": "a\0.safetensors"}), CheckpointError, "no .safetensors file beside"),
            (lambda m: m.update({"positions": 3}), CheckpointError, "weight_map must map"),
            (lambda m: m.update({"positions": "gone.safetensors"}), FileNotFoundError, "gone.safetensors"),
        ],
    )
    def test_a_lying_index_is_a_clear_error(self, shards, tmp_path, edit, error, message):
        path = shards / "model.safetensors.index.json"
        index = json.loads(path.read_text())
        edit(index["weight_map"])
        path.write_text(json.dumps(index))
        with pytest.raises(error, match=message):
            quantize_checkpoint(shards, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_damaged_last_shard_is_found_before_anything_is_written(self, shards, tmp_path):
        path = shards / "model-00002-of-00002.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(CheckpointError, match="00002-of-00002"):
            quantize_checkpoint(shards, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def refuse(path, match, error=CheckpointError, **options):
    out = path.parent / "out"
    with pytest.raises(error, match=match):
        quantize_checkpoint(path, out, **options)
    assert not out.exists()


class TestRefusals:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float64])
    @pytest.mark.parametrize("options", [{}, {"axis": None}, {"symmetric": False, "block_size": 8}], ids=str)
    def test_weights_that_are_not_finite(self, tmp_path, value, dtype, options):
        arrays = {"a.weight": normal(4, 8, dtype=dtype), "b.weight": normal(400, 800, dtype=dtype)}
        arrays["b.weight"][399, 799] = value
        save(tmp_path / "in.safetensors", arrays)
        refuse(tmp_path / "in.safetensors", "'b.weight' holds NaN or infinities", **options)
        report = quantize_checkpoint(tmp_path / "in.safetensors", tmp_path / "out", exclude=["b.*"], **options)
        assert [t.name for t in report.tensors] == ["a.weight"]

    def test_float64_beyond_float32(self, tmp_path):
        save(tmp_path / "in.safetensors", {"a.weight": np.full((2, 2), 1e300)})
        refuse(tmp_path / "in.safetensors", "'a.weight' holds NaN or infinities as float32")

    @pytest.mark.parametrize("suffix", ["_scale", "_scale_inv", "_zero_point"])
    def test_quantized_weights(self, tmp_path, suffix):
        arrays = {"a.weight": normal(2, 2, dtype=ml_dtypes.float8_e4m3fn), "a.weight" + suffix: normal(2, 1)}
        save(tmp_path / "in.safetensors", arrays)
        refuse(tmp_path / "in.safetensors", f"'a.weight' is quantized already: 'a.weight{suffix}'")

    def test_quantized_checkpoints(self, source, tmp_path):
        quantize_checkpoint(source, tmp_path / "once")
        refuse(tmp_path / "once", "quantized already")

    def test_transposed_weights(self, source):
        (source / "config.json").write_text('{"model_type": "gpt2"}')
        refuse(source, "models of type gpt2 store their weights transposed")

    def test_nothing_to_quantize(self, tmp_path):
        save(tmp_path / "in.safetensors", {"a.bias": normal(3), "wte.weight": normal(2, 2)})
        refuse(tmp_path / "in.safetensors", "no tensor to quantize among 2")

    def test_an_include_that_finds_nothing(self, source):
        refuse(source, r"include pattern 'layer\.\*' matches no", include=["*.q.weight", "layer.*"])

    def test_a_block_size_that_does_not_divide(self, source):
        refuse(source, "block_size 12 does not divide the 16 inputs of 'layers.0.q.weight'", block_size=12)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"dtype": "uint8"}, "dtype must be one of int8, int4 .* not 'uint8'"),
            ({"axis": 1}, "axis must be 0"),
            ({"block_size": 0}, "block_size must be a positive integer, not 0"),
            ({"block_size": 2.0}, "block_size must be a positive integer"),
        ],
    )
    def test_options_the_layout_cannot_express(self, source, options, match):
        refuse(source, match, ValueError, **options)

    def test_folders_without_a_single_checkpoint(self, tmp_path):
        folder = tmp_path / "in"
        folder.mkdir()
        refuse(folder, r"holds no \.safetensors file")
        for name in "ab":
            save(folder / f"{name}.safetensors", {"a.weight": normal(2, 2)})
        refuse(folder, r"holds several checkpoints: a\.safetensors, b\.safetensors")

    @pytest.mark.parametrize("text", ["{", "[]", "\xff"])
    def test_a_damaged_config(self, source, text):
        (source / "config.json").write_bytes(text.encode("latin-1"))
        refuse(source, r"config\.json: (not a valid|must hold a) JSON object")


class TestFailuresLeaveTheOldState:
    @pytest.fixture
    def old(self, source, tmp_path):
        quantize_checkpoint(source, tmp_path / "out", dtype="int4")
        return tmp_path / "out"

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
    @pytest.mark.parametrize("call", ["write", "fsync"])
    def test_at_every_call(self, source, old, monkeypatch, error, call):
        before, real = snapshot(old), getattr(os, call)
        for nth in range(1000):
            calls = itertools.count()

            def failing(*args, calls=calls, nth=nth):
                if next(calls) == nth:
                    raise error
                return real(*args)

            with monkeypatch.context() as patch:
                patch.setattr(os, call, failing)
                try:
                    quantize_checkpoint(source, old)
                except (OSError, KeyboardInterrupt) as raised:
                    assert raised is error  # noqa: PT017 - the loop ends where nothing is raised
                else:
                    break
            if call == "write" or nth < 3:  # the syncs after the third are those of folders, behind the renames
                assert snapshot(old) == before
        assert nth >= 3
        assert snapshot(old) != before

    def test_a_disk_that_is_too_small_is_noticed_first(self, source, old, monkeypatch):
        before = snapshot(old)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 100))
        with pytest.raises(OSError, match=r"the output takes .* bytes, 100 are free") as caught:
            quantize_checkpoint(source, old)
        assert caught.value.errno == errno.ENOSPC
        assert snapshot(old) == before

    def test_folders_made_for_a_failed_job_go_again(self, source, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            quantize_checkpoint(source, tmp_path / "new/deep")
        assert not (tmp_path / "new").exists()

    @pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_real_signals(self, source, old, number, status):
        before = snapshot(old)
        program = """
            import os, sys, time
            from pyquantk.cli import main
            real = os.fsync
            def slow(descriptor):
                print("ready", flush=True)
                time.sleep(60)
            os.fsync = slow
            sys.exit(main(["quantize", sys.argv[1], "-o", sys.argv[2]]))
        """
        command = [sys.executable, "-c", textwrap.dedent(program), source, old]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == status
        assert "Traceback" not in errors
        assert snapshot(old) == before


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_peak_memory_stays_far_below_the_largest_tensor(tmp_path, dtype):
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    size = 64 << 20
    arrays = {
        "embed_tokens.weight": np.ones((size // 4096, 4096 // dtype.itemsize), dtype),
        "a.weight": np.ones((size // 4096, 4096 // dtype.itemsize), dtype),
    }
    save(tmp_path / "small.safetensors", {"a.weight": np.ones((8, 8), dtype)})
    save(tmp_path / "in.safetensors", arrays)
    program = """
        import re, sys
        from pathlib import Path
        from pyquantk.integrations.checkpoints import quantize_checkpoint
        folder = Path(sys.argv[1])
        def kilobytes(key):
            return int(re.search(key + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
        quantize_checkpoint(folder / "small.safetensors", folder / "warm.safetensors")
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
        base = kilobytes("VmRSS")
        quantize_checkpoint(folder / "in.safetensors", folder / "out.safetensors")
        print(kilobytes("VmHWM") - base)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), tmp_path]
    grown = 1024 * int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)
    assert grown < 16 << 20
