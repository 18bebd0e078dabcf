"""The CUDA kernels on a GPU against the definition in float64, by themselves and as `ops` calls them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ops import MSDeformAttn, multi_scale_deformable_attention
from tests.ops.cuda_on_cpu.harness import compile_for_gpu
from tests.ops.guarded_kernels import GuardedKernels
from tests.ops.kernel_tests import TYPES, KernelTests, modes, types
from tests.ops.problems import (
    PYRAMID,
    Inputs,
    assert_near,
    check,
    make_inputs,
)

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> GuardedKernels:
    if not torch.cuda.is_available() or shutil.which("nvcc") is None:
        pytest.skip("no CUDA device, or no nvcc to compile for it")
    major, minor = torch.cuda.get_device_capability()
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    compile_for_gpu(library, 10 * major + minor)
    torch.zeros(1, device="cuda")  # makes the device's context the current one
    return GuardedKernels(library, "cuda", torch.device("cuda", torch.cuda.current_device()))


class TestCudaKernel(KernelTests):
    """What every kernel has to do."""


@modes
@types(TYPES)
@pytest.mark.parametrize("channels", [8, 16, 32, 64, 128])
def test_types_and_channels(
    kernels: GuardedKernels, channels: int, types: tuple[torch.dtype, torch.dtype], fused: bool
) -> None:
    check(kernels, make_inputs(PYRAMID, fused, channels, queries=133, heads=3).to(*types))


@modes
@pytest.mark.parametrize("types", TYPES[:3:2], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("extractor", [False, True], ids=["injector", "extractor"])
def test_shapes_of_the_base_network(
    kernels: GuardedKernels, extractor: bool, types: tuple[torch.dtype, torch.dtype], fused: bool
) -> None:
    """ViT-Adapter-B at a crop of 512: thousands of queries add to the same pixels at the same time."""
    sizes, queries = ([(32, 32)], 64**2 + 32**2 + 16**2) if extractor else ([(64, 64), (32, 32), (16, 16)], 32**2)
    check(kernels, make_inputs(sizes, fused, queries=queries, heads=12, points=4).to(*types))


def test_all_queries_add_to_the_same_pixels(kernels: GuardedKernels) -> None:
    """No addition is lost."""
    inputs = make_inputs([(2, 2)], fused=False, queries=5000)
    check(kernels, replace(inputs, positions=torch.full_like(inputs.positions, 0.45)))


def as_called(inputs: Inputs, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Output and gradients of the operation, on the CPU."""
    leaves = [tensor.to(device, dtype).requires_grad_() for tensor in inputs.tensors()]
    output = multi_scale_deformable_attention(leaves[0], inputs.sizes, leaves[1], leaves[2])
    output.float().square().sum().backward()
    return tuple(tensor.cpu().detach() for tensor in (output, *(leaf.grad for leaf in leaves)) if tensor is not None)


@pytest.mark.parametrize("channels", [5, 32, 48])
def test_operation_is_the_cpus(device: torch.device, channels: int) -> None:
    inputs = make_inputs(PYRAMID, fused=False, channels=channels, queries=70)
    exact = as_called(inputs, torch.device("cpu"), torch.float64)
    for ours, expected in zip(as_called(inputs, device, torch.float32), exact, strict=True):
        assert_near(ours, expected, scale=4)


def module_and_inputs() -> tuple[MSDeformAttn, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    attention = MSDeformAttn(dim=64, levels=3, heads=4, points=4, ratio=0.5)
    for name, parameter in attention.named_parameters():
        if name.startswith(("sampling_offsets", "attention_weights")):
            parameter.data += torch.randn(parameter.shape, generator=generator) * 0.05
    tokens = sum(height * width for height, width in PYRAMID)
    query, value = (torch.randn(2, count, 64, generator=generator) for count in (50, tokens))
    return attention, query, torch.rand(50, 2, generator=generator), value


@pytest.mark.parametrize(
    ("autocast", "tolerance"), [(None, 1e-4), (torch.bfloat16, 0.03), (torch.float16, 0.01)], ids=str
)
def test_module_is_the_cpus(device: torch.device, autocast: torch.dtype | None, tolerance: float) -> None:
    attention, query, reference_points, value = module_and_inputs()
    attention.double()
    exact = attention(query.double(), reference_points.double(), value.double(), PYRAMID)
    exact.square().sum().backward()
    expected = {name: parameter.grad for name, parameter in attention.named_parameters()}
    attention.zero_grad()
    attention.float().to(device)
    with torch.autocast("cuda", autocast, enabled=autocast is not None):
        output = attention(query.to(device), reference_points.to(device), value.to(device), PYRAMID)
    output.float().square().sum().backward()
    assert (output.double().cpu() - exact).norm() < tolerance * exact.norm()
    for name, parameter in attention.named_parameters():
        wanted = expected[name]
        assert parameter.grad is not None
        assert wanted is not None
        assert (parameter.grad.double().cpu() - wanted).norm() < 3 * tolerance * wanted.norm(), name


def test_operation_can_be_captured(device: torch.device) -> None:
    """A CUDA graph refuses whatever waits for the GPU, and runs on a stream of its own."""
    inputs = make_inputs(PYRAMID, fused=False)
    value, positions, scores = (tensor.to(device) for tensor in inputs.tensors())
    expected = multi_scale_deformable_attention(value, PYRAMID, positions, scores)
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = multi_scale_deformable_attention(value, PYRAMID, positions, scores)
    output.zero_()
    graph.replay()
    torch.testing.assert_close(output, expected)
