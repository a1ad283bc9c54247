"""PyTorch on the CPU: quantized tensors, fake quantization, quantized_decomposed, and its ways to choose parameters."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import pyquantk as qk

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("torch.ao.quantization.fx._decomposed", reason="this torch has no quantized_decomposed")

from . import inputs

# Quantized tensors are to leave PyTorch after 2.13; until then they are the reference of "torch".
pytestmark = pytest.mark.filterwarnings("ignore:.*are deprecated and will be removed:UserWarning")

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
QUANTIZED = {"int8": torch.qint8, "uint8": torch.quint8}
PLAIN = {"int8": torch.int8, "uint8": torch.uint8, "int16": torch.int16}
REALS = {"float32": inputs.F32, "float16": inputs.F16, "bfloat16": inputs.BF16}
DECOMPOSED = torch.ops.quantized_decomposed
PER_TOKEN = [(7, 129), (3, 5, 64), (1, 1, 1, 1), (2, 3, 4, 31)]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """PyTorch's threads wait busily; on arrays as small as these they only slow down what runs beside them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tensor(a):
    """A copy: writeable and contiguous."""
    if a.dtype == inputs.BF16:  # which torch and NumPy do not exchange
        return torch.from_numpy(a.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(a))


def array(t):
    return t.view(torch.int16).numpy().view(inputs.BF16) if t.dtype == torch.bfloat16 else t.numpy()


def cases(rng, scale_kind, limits, grains, dtype=inputs.F32):
    """(shape, axis, x, step, scale, zero_point) for every kind of input and each of `grains`."""
    for shape, axis in grains:
        for kind in inputs.KINDS:
            grain = inputs.grain(shape, axis)
            scale = inputs.scales(rng, scale_kind, grain)
            step = inputs.spread(scale, shape, axis)
            x = inputs.values(rng, kind, step, (limits[1] - limits[0]) * 5 // 4, dtype)
            yield shape, axis, x, step, scale, inputs.zero_points(rng, *limits, grain)


PER_TENSOR = [(shape, axis) for shape, axis in inputs.GRAINS if axis is None]
PER_CHANNEL = [(shape, axis) for shape, axis in inputs.GRAINS if axis is not None]


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("name", LIMITS)
def test_quantize_per_tensor(isa, name, scale_kind):
    rng = inputs.generator("torch", name, scale_kind)
    for _, _, x, step, scale, z in cases(rng, scale_kind, LIMITS[name], [*PER_TENSOR, ((20011,), None)]):
        theirs = torch.quantize_per_tensor(tensor(x), float(scale), int(z), QUANTIZED[name]).int_repr().numpy()
        ours = qk.quantize(x, scale, z, dtype=name, convention="torch")
        inputs.check(ours, theirs, x, step, LIMITS[name], defined=~np.isnan(x))


@pytest.mark.parametrize("name", LIMITS)
def test_quantize_per_tensor_with_a_double_scale(isa, name):
    rng = inputs.generator("torch double", name)
    for _ in range(100):
        scale = float(np.exp2(rng.uniform(-10, 3)))
        z = int(inputs.zero_points(rng, *LIMITS[name]))
        step = np.full(1031, scale)
        x = inputs.values(rng, "near", step)
        theirs = torch.quantize_per_tensor(tensor(x), scale, z, QUANTIZED[name]).int_repr().numpy()
        np.testing.assert_array_equal(qk.quantize(x, scale, z, dtype=name, convention="torch"), theirs)


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("name", LIMITS)
def test_quantize_per_channel(isa, name, scale_kind):
    rng = inputs.generator("torch channel", name, scale_kind)
    for _, axis, x, step, scale, z in cases(rng, scale_kind, LIMITS[name], PER_CHANNEL):
        peer = torch.quantize_per_channel(tensor(x), tensor(scale), tensor(z), axis, QUANTIZED[name])
        ours = qk.quantize(x, scale, z, dtype=name, axis=axis, convention="torch")
        inputs.check(ours, peer.int_repr().numpy(), x, step, LIMITS[name])


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("name", LIMITS)
def test_dequantize(isa, name, scale_kind):
    rng = inputs.generator("torch dequantize", name, scale_kind)
    for shape, axis, _, _, scale, z in cases(rng, scale_kind, LIMITS[name], inputs.GRAINS):
        q = rng.integers(*LIMITS[name], shape, name, endpoint=True)
        if axis is None:
            peer = torch._make_per_tensor_quantized_tensor(tensor(q), float(scale), int(z))
        else:
            peer = torch._make_per_channel_quantized_tensor(tensor(q), tensor(scale), tensor(z), axis)
        inputs.same_bits(qk.dequantize(q, scale, z, axis=axis), peer.dequantize().numpy())


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("limits", [(-128, 127), (0, 255), (-127, 127), (-8, 7), (0, 65535), (-32768, 32767)])
def test_fake_quantize(isa, limits, scale_kind, real):
    rng = inputs.generator("torch fake", limits, scale_kind, real)
    low, high = limits
    per_tensor = torch.ops.aten.fake_quantize_per_tensor_affine_cachemask
    per_channel = torch.ops.aten.fake_quantize_per_channel_affine_cachemask
    for _, axis, x, step, scale, z in cases(rng, scale_kind, limits, inputs.GRAINS, REALS[real]):
        if axis is None:
            theirs, their_mask = per_tensor(tensor(x), float(scale), int(z), low, high)
        else:
            theirs, their_mask = per_channel(tensor(x), tensor(scale), tensor(z.astype(np.int32)), axis, low, high)
        ours, mask = qk.fake_quantize(x, scale, z, quant_min=low, quant_max=high, axis=axis, return_mask=True)
        with np.errstate(all="ignore"):
            quotient = x.astype(np.float64) / step
        # Beyond, it converts out of range; per tensor it does not convert.
        inside = np.abs(quotient) < 2.0**62 if axis is not None else ~np.isnan(x)
        inputs.same_bits(ours[inside], array(theirs)[inside])
        np.testing.assert_array_equal(mask[inside], their_mask.numpy()[inside])
        points = inputs.spread(z, x.shape, axis)[~inside]
        ends = np.where(quotient[~inside] > 0, high, low) - points
        with np.errstate(over="ignore"):
            inputs.same_bits(ours[~inside], (ends.astype(np.float32) * step[~inside]).astype(REALS[real]))
        assert not mask[~inside].any()


def test_fake_quantize_with_odd_scales(isa):
    rng = inputs.generator("torch odd")
    for scale in (0.0, -0.0, -0.5, -3.0, np.inf, -np.inf, np.nan, 1e-45, 1e-40, 2.0**-127, 2.0**-126, 2.0**127, 3.4e38):
        step = np.full(1031, scale if np.isfinite(scale) and scale else 1.0, np.float32)
        for kind in inputs.FINITE:
            x = inputs.values(rng, kind, step)
            peer = torch.ops.aten.fake_quantize_per_tensor_affine_cachemask(tensor(x), scale, 3, -128, 127)
            y, mask = qk.fake_quantize(x, scale, 3, return_mask=True)
            # A new NaN has the sign that the processor gives it there; here it is always the same one.
            np.testing.assert_array_equal(y, peer[0].numpy())
            np.testing.assert_array_equal(mask, peer[1].numpy())


def test_fake_quantize_gradient_is_the_mask(isa):
    rng = inputs.generator("torch gradient")
    x = (rng.standard_normal((37, 67)) * 4).astype(np.float32)
    scale, z = inputs.scales(rng, "random", (67,)) / 100, rng.integers(-128, 128, 67)
    leaf = tensor(x).requires_grad_()
    y = torch.fake_quantize_per_channel_affine(leaf, tensor(scale), tensor(z.astype(np.int32)), 1, -128, 127)
    y.sum().backward()
    _, mask = qk.fake_quantize(x, scale, z, axis=1, return_mask=True)
    np.testing.assert_array_equal(mask, leaf.grad.numpy() != 0)
    assert mask.any()
    assert not mask.all()


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", PLAIN)
def test_decomposed_per_tensor(isa, name, real):
    """Its scale is a double, whose reciprocal it takes in double: another float32 than 1 / float32(scale) often."""
    limits = np.iinfo(name).min, np.iinfo(name).max
    rng = inputs.generator("decomposed", name, real)
    differ = 0
    for _ in range(20):
        for kind in inputs.KINDS:
            scale = float(np.exp2(rng.uniform(-10, 3)))
            z = int(inputs.zero_points(rng, *limits))
            x = inputs.values(rng, kind, np.full(1031, scale), (limits[1] - limits[0]) * 5 // 4, REALS[real])
            theirs = DECOMPOSED.quantize_per_tensor(tensor(x), scale, z, *limits, PLAIN[name]).numpy()
            ours = qk.quantize(x, scale, z, dtype=name, convention="torch_decomposed")
            inputs.check(ours, theirs, x, np.full(1031, scale), limits, defined=~np.isnan(x))
            differ += np.count_nonzero(ours != qk.quantize(x, scale, z, dtype=name, convention="torch_fake_quantize"))
            back = DECOMPOSED.dequantize_per_tensor(tensor(theirs), scale, z, *limits, PLAIN[name]).numpy()
            inputs.same_bits(qk.dequantize(theirs, scale, z), back)
    assert differ > 0 or real != "float32"  # the inputs tell the two apart


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("name", LIMITS)
def test_decomposed_per_channel(isa, name, scale_kind):
    rng = inputs.generator("decomposed channel", name, scale_kind)
    for _, axis, x, step, scale, z in cases(rng, scale_kind, LIMITS[name], PER_CHANNEL):
        arguments = tensor(scale), tensor(z), axis, *LIMITS[name], PLAIN[name]
        theirs = DECOMPOSED.quantize_per_channel(tensor(x), *arguments).numpy()
        ours = qk.quantize(x, scale, z, dtype=name, axis=axis, convention="torch_decomposed")
        inputs.check(ours, theirs, x, step, LIMITS[name], defined=~np.isnan(x))
        back = DECOMPOSED.dequantize_per_channel(tensor(theirs), *arguments).numpy()
        inputs.same_bits(qk.dequantize(theirs, scale, z, axis=axis), back)


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("name", LIMITS)
def test_decomposed_per_token(isa, name, scale_kind):
    rng = inputs.generator("decomposed token", name, scale_kind)
    for shape in PER_TOKEN:
        for kind in inputs.KINDS:
            grain = (*shape[:-1], 1)
            scale, z = inputs.scales(rng, scale_kind, grain), inputs.zero_points(rng, *LIMITS[name], grain)
            step = np.broadcast_to(scale, shape)
            x = inputs.values(rng, kind, step)
            arguments = tensor(scale), tensor(z), *LIMITS[name], PLAIN[name]
            theirs = DECOMPOSED.quantize_per_token(tensor(x), *arguments).numpy()
            options = {"axis": -1, "block_size": shape[-1]}
            ours = qk.quantize(x, scale, z, dtype=name, convention="torch_decomposed", **options)
            inputs.check(ours, theirs, x, step, LIMITS[name], defined=~np.isnan(x))
            back = DECOMPOSED.dequantize_per_token(tensor(theirs), *arguments, torch.float32).numpy()
            inputs.same_bits(qk.dequantize(theirs, scale, z, **options), back)


@pytest.mark.parametrize("scale_kind", inputs.SCALES)
@pytest.mark.parametrize("name", [*LIMITS, "int4", "uint4"])
def test_decomposed_per_channel_group(isa, name, scale_kind):
    limits = {**LIMITS, "int4": (-8, 7), "uint4": (0, 15)}[name]
    rng = inputs.generator("decomposed group", name, scale_kind)
    for shape, size in [((7, 96), 32), ((33, 128), 128), ((5, 60), 4)]:
        for kind in inputs.KINDS:
            grain = inputs.grain(shape, 1, size)
            scale, z = inputs.scales(rng, scale_kind, grain), inputs.zero_points(rng, *limits, grain)
            step = inputs.spread(scale, shape, 1, size)
            x = inputs.values(rng, kind, step, (limits[1] - limits[0]) * 5 // 4)
            x = np.where(np.isnan(x), np.float32(0), x)  # it refuses NaN
            held = PLAIN["uint8" if limits[0] == 0 else "int8"]
            peer = DECOMPOSED.quantize_per_channel_group(tensor(x), tensor(scale), tensor(z), *limits, held, size)
            ours = qk.quantize(x, scale, z, dtype=name, block_size=size, convention="torch_decomposed")
            inputs.check(ours.astype(peer.numpy().dtype), peer.numpy(), x, step, limits, defined=True)
            back = DECOMPOSED.dequantize_per_channel_group(
                peer, tensor(scale), tensor(z), *limits, held, size, torch.float32
            ).numpy()
            inputs.same_bits(qk.dequantize(ours, scale, z, block_size=size), back)


@pytest.mark.parametrize("size", [1.0, 1e-7, 0.0, 1e30])
def test_choose_qparams_per_token(isa, size):
    rng = inputs.generator("per token", size)
    for shape in PER_TOKEN:
        x = (rng.standard_normal(shape) * size).astype(np.float32)
        scale, z = DECOMPOSED.choose_qparams_per_token(tensor(x), torch.int8)
        p = qk.choose_params(x, rule="per_token", axis=-1, block_size=shape[-1])
        inputs.same_bits(p.scale, scale.numpy())
        assert p.zero_point is None
        assert not z.any()


def test_choose_qparams_per_tensor(isa):
    """Ranges of every size, and those whose zero point is all but a tie: the commonest of all, (-a, a), is one."""
    rng = inputs.generator("fbgemm")
    ranges = [(0, 0), (0, 1e-38), (-1e-38, 1e-38), (0, 1e-45), (-1e-3, 1e-3), (-1e-3, 0), (0, 1e-3), (-1e-2, 3e-3)]
    ranges += [(0, 3e38), (-3e38, 3e38), (-1e-40, 0), (-2e-6, 1e-9), (-1.5, -0.5), (0.5, 1.5)]
    for high in np.exp2(rng.uniform(-20, 10, 700)):
        k = rng.integers(0, 255) + 0.5
        ranges += [(-high, high), (-k * high / (255 - k), high), (-high * rng.random(), high)]
    for low, high in ranges:
        x = np.array([low, high], np.float32)
        scale, z = torch._choose_qparams_per_tensor(tensor(x), False)
        p = qk.choose_params(x, "uint8", symmetric=False, rule="fbgemm")
        assert (p.scale, p.zero_point) == (np.float32(scale), z), (low, high)


def test_tensors_are_viewed(isa):
    """CPU tensors come in through DLPack: contiguous, strided and of no axis, without a copy of ours."""
    whole = torch.randn(6, 10, 4, generator=torch.Generator().manual_seed(1))
    for x in (whole, whole.permute(2, 0, 1), whole[1::2, :, 3], whole.half(), whole[0, 0, 0], whole[:0]):
        ours = qk.quantize(x, 0.02, 3, dtype="uint8")
        assert ours.shape == tuple(x.shape)
        np.testing.assert_array_equal(ours, qk.quantize(x.numpy().copy(), 0.02, 3, dtype="uint8"))
    bits = whole.bfloat16()[:, 1::3]
    np.testing.assert_array_equal(qk.quantize(bits, 0.02), qk.quantize(bits.float().numpy(), 0.02))
    scale, z = torch.rand(10) + 0.01, torch.arange(10)
    theirs = torch.quantize_per_channel(whole, scale, z, 1, torch.qint8)
    ours = qk.quantize(whole, scale, z, axis=1, convention="torch")
    np.testing.assert_array_equal(ours, theirs.int_repr().numpy())
    inputs.same_bits(qk.dequantize(theirs.int_repr(), scale, z, axis=1), theirs.dequantize().numpy())
    out = torch.empty(6, 10, 4, dtype=torch.int8)
    qk.quantize(whole, 0.02, out=out.numpy())
    np.testing.assert_array_equal(out.numpy(), qk.quantize(whole.numpy(), 0.02))
