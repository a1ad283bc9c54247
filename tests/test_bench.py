"""The benchmark: fair races, true bounds, and a table that survives whatever is missing."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys

import numpy as np
import pytest
from emulation import EMULATED

import pyquantk as qk
from pyquantk import _native, bench, cli
from pyquantk.bench import gemm, peers, report, session, timing
from pyquantk.bench.peers import onnx_model
from pyquantk.bench.row import Row, aligned, shape_of

ROWS = [row for module in bench.ROW_MODULES for row in importlib.import_module(module).ROWS]
LAYERS = [name for name, supported in qk.cpu.layers().items() if supported]
FAST = timing.Budget(sample=0.0, total=0.0, rounds=1)
PATTERNS = [
    (32, 8, 0), (32, 16, 0), (32, 4, 0), (16, 8, 0), (16, 4, 0), (8, 32, 0), (8, 16, 0), (4, 32, 0), (4, 16, 0),
    (32, 32, 0), (16, 16, 0), (32, 32, 8), (16, 16, 8), (32, 0, 0), (16, 0, 0),
]  # fmt: skip


class TestRoofline:
    @pytest.mark.parametrize("layer", LAYERS)
    @pytest.mark.parametrize(("read", "write", "extra"), PATTERNS)
    @pytest.mark.parametrize("way", range(4))
    def test_every_output_byte_comes_from_the_input(self, layer, read, write, extra, way):
        n = 65 * 1024  # several tasks on two threads, the last of another size
        x = aligned((n * read // 8,), np.uint8)
        x.fill(0xA5)
        out, out2 = (aligned((n * (bits or 8) // 8 + 64,), np.uint8) for bits in (write, extra))
        with qk.cpu.use(layer), qk.thread_limit(2):
            _native.roofline(read, write, extra, x, out, out2 if extra else None, n, way, 2)
        if write:
            assert (out[:-64] == 0xA5).all()
        else:
            assert (out[:8] == 0xA5).all()
        assert (out[-64:] == 1).all()
        assert (out2[:-64] == (0xA5 if extra else 1)).all()
        assert (out2[-64:] == 1).all()

    @pytest.mark.parametrize(
        ("read", "write", "offset", "n", "message"),
        [
            (24, 8, 0, 1024, "no pattern of 24, 8 and 0 bits"),
            (32, 8, 1, 1024, "an address is not a multiple of 64"),
            (32, 8, 0, 1000, "elements = 1000 is not a multiple of 1024"),
            (32, 8, 0, 2048, "room for 2048 elements"),
            (32, 8, 0, -1024, "room for -1024 elements"),
        ],
    )
    def test_refuses(self, read, write, offset, n, message):
        x, out = aligned((4096 + 64,), np.uint8), aligned((1024,), np.uint8)
        with pytest.raises(ValueError, match=message):
            _native.roofline(read, write, 0, x[offset:], out, None, n, 0, 1)
        assert (out == 1).all()

    @pytest.mark.parametrize("way", [-1, 4])
    def test_refuses_unknown_ways(self, way):
        x, out = aligned((4096,), np.uint8), aligned((1024,), np.uint8)
        with pytest.raises(ValueError, match=f"way {way}"):
            _native.roofline(32, 8, 0, x, out, None, 1024, way, 1)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_peak_counts_what_every_thread_does(layer):
    with qk.cpu.use(layer):
        with qk.thread_limit(1):
            one = _native.roofline_dot(1)
            assert _native.roofline_dot(50) == 50 * one > 0
        with qk.thread_limit(3):
            assert _native.roofline_dot(10) == 30 * one


def test_shapes_of_networks():
    rows = gemm.shape_rows()
    assert len({row.name for row in rows}) == len(rows) >= 40
    first = next(row for row in rows if row.name == "resnet50 5.1x1a")
    result = session.measure(first, first.sizes[0], 1, LAYERS[-1:], {}, FAST)
    assert result.work == 2 * 49 * 512 * 2048
    found = report.values_of(result, LAYERS[-1])
    assert found["ours"] <= found["kernel"] < 5 * found["ours"]
    result.peers = {"torch": 2 * result.ours[LAYERS[-1]]}
    assert report.ratios([result]) == [
        f"{LAYERS[-1]}, 1 threads: 2.00 times the best peer in the geometric mean of 1 rows, "
        "worst 2.00 (resnet50 5.1x1a)"
    ]


class TestRows:
    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
    def test_ours_writes_where_the_bound_writes(self, row):
        case = row.make((256 if row.sizes else 1024) if EMULATED else 2048)
        case.out.fill(0)
        row.ours(case)()
        if not row.name.startswith("min"):
            assert case.out.astype(np.float32).any()
        for way in row.bound(case) if row.bound else ():
            way(1)
        assert case.x.ctypes.data % 4096 == case.out.ctypes.data % 4096 == 0

    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
    def test_is_measured_on_every_layer(self, row):
        size = (64 if EMULATED else 200) if row.sizes else 1024
        result = session.measure(row, size, 1, LAYERS, {}, FAST)
        assert list(result.ours) == LAYERS
        assert set(result.bound) == (set(LAYERS) if row.bound else set())
        for layer in LAYERS:
            assert all(np.isfinite(value) and value > 0 for value in report.values_of(result, layer).values())

    def test_names_are_unique_and_peers_known(self):
        assert len({row.name for row in ROWS}) == len(ROWS)
        assert {name for row in ROWS for name in row.peers} <= set(peers.PEERS)

    @pytest.mark.parametrize("name", list(peers.PEERS))
    def test_installed_peers_do_most_of_their_rows(self, name):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
        found = peers.installed([name])
        rows = [row for row in ROWS if name in row.peers]
        done = [session.measure(row, row.sizes[0] if row.sizes else 1024, 1, [], found, FAST) for row in rows]
        assert sum(name in result.peers for result in done) >= len(rows) - 2, [result.left_out for result in done]


def test_shapes():
    assert [shape_of(n) for n in (1, 2, 1000, 16 << 10, 1 << 20, 16 << 20)] == [
        (1, 1), (1, 2), (1, 1000), (128, 128), (1024, 1024), (4096, 4096),
    ]  # fmt: skip


class TestTiming:
    def test_contenders_take_turns_and_the_minimum_counts(self):
        order = []

        def runner(name, times):
            left = iter(times)

            def run(n):
                order.append(name)
                return n * next(left)

            return run

        # Two calls to warm up, then one a round; a sample is one call, as that already takes long enough.
        a = timing.Contender(runner("a", [9, 9, 5, 2, 4]))
        b = timing.Contender(runner("b", [9, 9, 3, 8, 7]))
        timing.race([a, b], timing.Budget(sample=1.0, total=0.0, rounds=3), 1)
        assert (a.best, b.best) == (2, 3)
        assert "".join(order) == "aabb" + "ababab"

    def test_short_calls_are_repeated_to_fill_a_sample(self):
        seen = []
        contender = timing.Contender(lambda n: seen.append(n) or n * 0.001)
        timing.race([contender], timing.Budget(sample=0.25, total=0.0, rounds=1), 1)
        assert seen == [1, 1, 1, 250]
        assert contender.best == pytest.approx(0.001)

    def test_the_loop_is_not_counted(self):
        seconds = min(timing.calls(lambda: None)(10_000) for _ in range(5)) / 10_000
        assert abs(seconds) < 1e-7

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems do not let us choose CPUs")
    def test_pinning_is_undone(self):
        before = os.sched_getaffinity(0)
        with timing.pinned(1):
            assert os.sched_getaffinity(0) == {min(before)}
        assert os.sched_getaffinity(0) == before


class TestOnnxModel:
    def test_is_valid(self):
        onnx = pytest.importorskip("onnx", reason="onnx is not installed")
        inputs = [
            onnx_model.Tensor("x", onnx_model.FLOAT, (3, 256)),
            onnx_model.Tensor("s", onnx_model.FLOAT, (3, 2), np.ones(6, np.float32).tobytes()),
            onnx_model.Tensor("z", onnx_model.INT8, (3, 2), bytes(6)),
        ]
        output = onnx_model.Tensor("y", onnx_model.INT8, (3, 256))
        attributes = {"axis": -1, "block_size": 128}
        model = onnx.load_from_string(onnx_model.one_node_model("QuantizeLinear", inputs, output, attributes, opset=21))
        onnx.checker.check_model(model, full_check=True)
        (node,) = model.graph.node
        assert {a.name: a.i for a in node.attribute} == attributes
        assert [onnx.numpy_helper.to_array(t).shape for t in model.graph.initializer] == [(3, 2), (3, 2)]

    def test_numbers_of_every_length(self):
        assert [onnx_model._varint(n).hex() for n in (0, 127, 128, 300)] == ["00", "7f", "8001", "ac02"]
        assert onnx_model._field(3, -1).hex() == "18" + "ff" * 9 + "01"


class TestCommand:
    def run(self, capsys, *arguments):
        status = cli.main(["bench", "--quick", "--vs", "none", *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    @pytest.fixture(autouse=True)
    def fast(self, monkeypatch):
        monkeypatch.setattr(session, "_QUICK", FAST)

    def test_json(self, capsys):
        status, out, err = self.run(capsys, "--rows", "f16 -> i*", "--sizes", "1K,2048", "--threads", "1,2", "--json")
        found = json.loads(out)
        assert (status, err) == (0, "")
        assert found["versions"]["pyquantk"] == qk.__version__
        assert {(r["row"], r["size"], r["threads"]) for r in found["results"]} == {
            ("f16 -> int8", size, threads) for size in (1024, 2048) for threads in (1, 2)
        }
        one = found["results"][0]
        assert one["shown"]["ours"] == pytest.approx(one["size"] / one["seconds"]["ours"] / 1e9)

    def test_threads_and_layer_are_put_back(self, capsys):
        before = qk.get_num_threads(), qk.cpu.active()
        self.run(capsys, "--rows", "min", "--sizes", "1K", "--threads", "1,3", "--layers", "scalar")
        assert (qk.get_num_threads(), qk.cpu.active()) == before

    def test_text_and_markdown(self, capsys):
        arguments = ["--rows", "one call, int8*", "--layers", "scalar"]
        _, out, _ = self.run(capsys, *arguments)
        (line,) = [line for line in out.splitlines() if line.startswith("one call, int8 -> f32 (us)")]
        assert line.split()[6:9] == ["1000", "1", "scalar"]
        _, out, _ = self.run(capsys, *arguments, "--markdown")
        assert "| one call, int8 -> f32 (us) | 1000 | 1 | scalar |" in out

    def test_an_interrupt_prints_what_is_finished(self, monkeypatch, capsys):
        real, done = session.measure, []

        def measure(*args):
            if done:
                raise KeyboardInterrupt
            done.append(args)
            return real(*args)

        monkeypatch.setattr(session, "measure", measure)
        status, out, err = self.run(capsys, "--rows", "f32 -> int8*", "--sizes", "1K")
        assert status == 130
        assert out.count("f32 -> int8") == 1
        assert "interrupted" in err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--rows", "nonsense"], "--rows must match a row, and 'nonsense' matches none of: f32 -> int8; "),
            (["--layers", "scalar,sse9"], "--layers must name layers that this CPU runs (scalar"),
            (["--vs", "tensorrt"], "--vs must name peers among onnxruntime, torch, numpy, numkong, or be none"),
        ],
    )
    def test_wrong_choices(self, capsys, arguments, message):
        status, out, err = self.run(capsys, *arguments)
        assert (status, out) == (2, "")
        assert message in err

    @pytest.mark.parametrize("option", ["--sizes=1000", "--sizes=0", "--sizes=1K,x", "--threads=0", "--threads=-1"])
    def test_wrong_numbers(self, option):
        with pytest.raises(SystemExit) as ended:
            cli.main(["bench", option])
        assert ended.value.code == 2


@pytest.mark.parametrize(("text", "n"), [("16K", 16 << 10), ("1m", 1 << 20), ("2G", 2 << 30), ("3072", 3072)])
def test_parse_size(text, n):
    assert bench.parse_size(text) == n


@pytest.mark.parametrize("text", ["", "K", "-1K", "1.5K", "100", "1T"])
def test_parse_size_refuses(text):
    with pytest.raises(argparse.ArgumentTypeError, match="multiple of 1024"):
        bench.parse_size(text)


class TestPeers:
    def test_absent_ones_are_left_out(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert peers.installed(None) == {}

    def test_broken_ones_are_left_out(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
        monkeypatch.setitem(sys.modules, "torch", None)  # import torch raises
        assert list(peers.installed(["torch", "numpy"])) == ["numpy"]

    def test_one_that_fails_is_left_out_of_its_row(self):
        def fails(case, threads):
            raise RuntimeError("no kernel for this")

        row = ROWS[0]
        broken = Row(row.name, row.make, row.ours, row.bound, {"numpy": fails})
        result = session.measure(broken, 1024, 1, ["scalar"], peers.installed(["numpy"]), FAST)
        assert (result.peers, result.left_out) == ({}, {"numpy": "no kernel for this"})


class TestReport:
    def result(self, **times):
        result = session.Result(ROWS[0], 1 << 14, 1, 16384.0)
        result.ours, result.call, result.bound = {"avx2": 2e-6}, {"avx2": 1e-6}, {"avx2": 0.8e-6}
        result.peers = times
        return result

    def test_numbers(self):
        found = report.values_of(self.result(torch=6e-6, onnxruntime=4e-6), "avx2")
        assert found == pytest.approx(
            {
                "ours": 8.192,
                "kernel": 16.384,
                "limit": 20.48,
                "percent": 80.0,
                "x": 2.0,
                "torch": 2.730667,
                "onnxruntime": 4.096,
            }
        )

    def test_120_columns_hold_every_peer(self):
        results = []
        for row in ROWS:
            result = self.result(**dict.fromkeys(peers.PEERS, 1e-6))
            result.row, result.ours = row, {"avx512vbmi": 2e-6}
            results.append(result)
        head = report.header(LAYERS, {name: None for name in peers.PEERS if importlib.util.find_spec(name)}, 1.0)
        text = report.text(head, results, list(peers.PEERS))
        assert max(map(len, text.splitlines())) <= 120
        assert all(row.name in text for row in ROWS)
