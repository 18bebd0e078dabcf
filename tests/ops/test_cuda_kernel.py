"""The CUDA kernels, run on a CPU against the definition, compiled by nvcc, and read."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from ops.build import SOURCES
from tests.ops.cuda_on_cpu.harness import compile_for_cpu, compile_for_gpu
from tests.ops.guarded_kernels import GuardedKernels
from tests.ops.kernel_tests import TYPES, KernelTests, modes, types
from tests.ops.problems import (
    PYRAMID,
    Inputs,
    check,
    cotangent,
    make_inputs,
)

WIDE = "-DPROLAB_WIDE_ATOMICS"
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")


@pytest.fixture(scope="session", params=["wide", "narrow"])
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> GuardedKernels:
    """The kernels as for compute capability 9.0 and newer, and as for older ones."""
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    options = ("-O1", WIDE) if request.param == "wide" else ("-O1",)
    library = tmp_path_factory.mktemp("cuda_on_cpu") / f"{request.param}.so"
    return GuardedKernels(compile_for_cpu(library, options=options), "cuda")


class TestCudaKernelOnCpu(KernelTests):
    """What every kernel has to do."""


@modes
@types(TYPES)
@pytest.mark.parametrize("channels", [8, 16, 32, 64, 128])
def test_types_and_channels(
    kernels: GuardedKernels, channels: int, types: tuple[torch.dtype, torch.dtype], fused: bool
) -> None:
    check(kernels, make_inputs(PYRAMID, fused, channels, images=1).to(*types))


@modes
@pytest.mark.parametrize("queries", [1, 32, 67])
def test_queries_that_fill_no_block(kernels: GuardedKernels, queries: int, fused: bool) -> None:
    check(kernels, make_inputs([(4, 5)], fused, queries=queries, points=4))


def test_levels_of_samples_are_found_without_division() -> None:
    for points in range(1, 96):
        factor = 65536 // points + 1
        assert [sample * factor >> 16 for sample in range(95)] == [sample // points for sample in range(95)]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda inputs: replace(inputs, value=inputs.value[..., :12]), "8, 16, 32, 64 or 128 channels"),
        (lambda inputs: replace(inputs, value=inputs.value.double()), "float32, bfloat16 or float16"),
        (lambda inputs: inputs.to(torch.float32, torch.bfloat16), "of the value's type or in float32"),
        (lambda inputs: inputs.to(torch.float16, torch.bfloat16), "of the value's type or in float32"),
        (lambda _: make_inputs([(1, 1)] * 9, True, images=1), "1 to 8 levels"),
        (lambda _: make_inputs([(1, 1)], True, images=1, points=96), "at most 95 samples"),
        (lambda _: make_inputs([(1, 1)], True, 8, images=1, heads=65536, queries=1), "65535 heads and images"),
    ],
)
def test_what_the_kernels_cannot_do_is_said(
    kernels: GuardedKernels, change: Callable[[Inputs], Inputs], error: str
) -> None:
    inputs = change(make_inputs([(3, 3)], fused=True))
    with pytest.raises(RuntimeError, match=error):
        kernels.forward(inputs)
    with pytest.raises(RuntimeError, match=error):
        kernels.backward(inputs, cotangent(inputs))


@dataclass(frozen=True)
class Mutation:
    """A mistake in the kernels, and what it must lead to: an error, or a wrong number if that is None."""

    before: str
    after: str
    error: str | None = None
    options: tuple[str, ...] = (WIDE,)


MUTATIONS = {
    "lanes leave before a shuffle": Mutation(
        "  Sample* next = samples;\n",
        "  if (!my.live) return;\n  Sample* next = samples;\n",
        r"waits at __shfl_xor_sync in line \d+ for lane \d+ of warp \d+, which has exited",
    ),
    "lanes skip a shuffle": Mutation(
        "    maximum = group_maximum<kLanes>(maximum);\n",
        "    if (my.live) maximum = group_maximum<kLanes>(maximum);\n",
        r"waits at __shfl_xor_sync in line \d+ for lane \d+ of warp \d+, which waits at __shfl_xor_sync in line \d+",
    ),
    "a barrier of the warp for some lanes": Mutation(
        "  __syncwarp();\n\n  // Every lane writes",
        "  if (my.lane < 2) __syncwarp();\n\n  // Every lane writes",
        r"waits at \w+ in line \d+ for lane \d+ of warp \d+, which waits at \w+ in line \d+",
    ),
    "a barrier of the block for some lanes": Mutation(
        "  __syncwarp();\n\n  // Every lane writes",
        "  if (my.live) __syncthreads();\n\n  // Every lane writes",
        r"waits at \w+ in line \d+ for lane \d+ of warp \d+, which waits at \w+ in line \d+",
    ),
    "no barrier after the samples are located": Mutation("  __syncwarp();\n}\n", "}\n"),
    "no barrier before the gradients are written": Mutation(
        "  __syncwarp();\n\n  // Every lane writes", "  // Every lane writes"
    ),
    "a mask without some lanes": Mutation(
        "kWarp = 0xffffffffu", "kWarp = 0x0fffffffu", r"lane 28 of warp 0 is not in the mask of __shfl_xor_sync"
    ),
    "shuffles of a smaller width": Mutation(
        "number += __shfl_xor_sync(kWarp, number, step)", "number += __shfl_xor_sync(kWarp, number, step, 4)"
    ),
    "sums over half of the lanes": Mutation(
        "for (int step = STEP; step < LANES; step *= 2)", "for (int step = STEP; step < LANES / 2; step *= 2)"
    ),
    "an exchange of the wrong number": Mutation("second_here ? first : second, step)", "second, step)"),
    "a corner that gets no gradient": Mutation(
        "if (corners.inside[corner] && share != 0) {", "if (corners.inside[corner] && share != 0 && corner < 3) {"
    ),
    "wide sums that are overwritten": Mutation(
        "atomicAdd(reinterpret_cast<float4*>(sums), terms);", "*reinterpret_cast<float4*>(sums) = terms;"
    ),
    "a narrow sum that is overwritten": Mutation(
        "atomicAdd(sums + STEP, terms.y);", "sums[STEP] = terms.y;", options=()
    ),
    "narrow sums in the wrong places": Mutation(
        "const int added = kWideAtomics ? channel : my.lane;", "const int added = channel;", options=()
    ),
    "groups behind the last query that leave a trace": Mutation("my.live && cell.inside ?", "cell.inside ?"),
    "outputs behind the last query": Mutation(
        "const int level = problem.level_of(s), place = my.item * count + s;",
        "const int level = problem.level_of(s), place = (my.item + my.query / 37) * count + s;",
        "written outside of grad_scores|written outside of grad_positions",
    ),
}


@needs_compiler
@pytest.mark.slow
def test_mistakes_are_found(tmp_path: Path) -> None:
    """With heads of 32 channels only, which halves what is to be compiled."""
    inputs = make_inputs(PYRAMID[::-1], fused=True, images=1, queries=38, heads=1, points=4)
    grad_output = cotangent(inputs)

    def consequence(name: str) -> None:
        mutation, folder = MUTATIONS[name], tmp_path / name.replace(" ", "_")
        shutil.copytree(SOURCES, folder)
        for file, before, after in (
            ("cuda_kernel.cuh", mutation.before, mutation.after),
            ("cuda.cu", "<int, 8, 16, 32, 64, 128>", "<int, 32>"),
        ):
            text = (folder / file).read_text()
            assert text.count(before) == 1, f"{name}: {before!r} is {text.count(before)} times in {file}"
            (folder / file).write_text(text.replace(before, after))
        library = compile_for_cpu(folder / "kernels.so", folder, ("-O0", "-w", *mutation.options))
        mutant = GuardedKernels(library, "cuda")
        if mutation.error:
            with pytest.raises(RuntimeError, match=mutation.error):
                mutant.backward(inputs, grad_output)
        else:
            with pytest.raises(AssertionError, match="not close"):
                check(mutant, inputs)

    with ThreadPoolExecutor(2) as pool:
        for name, future in {name: pool.submit(consequence, name) for name in MUTATIONS}.items():
            assert future.exception() is None, f"{name}: {future.exception()}"


def test_the_gradient_of_the_value_is_only_added_to() -> None:
    """What the CPU cannot show, as it runs one thread at a time: all writes are atomic, as there is no other way."""
    text = re.sub(r"//.*", "", (SOURCES / "cuda_kernel.cuh").read_text())
    start, end = text.index("class GradientSum {"), text.index("template <typename V, typename S>\nstruct Problem")
    inside, outside = text[start:end], text[:start] + text[end:]
    assert "sums_" not in outside
    assert set(re.findall(r"\w*grad_value\b.*", outside)) == {"grad_value;", "grad_value.from(head + added);"}
    assert re.findall(r".*\bsums_.*", inside) == [
        line
        for line in inside.splitlines()
        if re.search(r"explicit GradientSum|return GradientSum\(whole\(|float\* const sums = |^  float\* sums_;$", line)
    ]
    writes = [line.strip() for line in inside.splitlines() if re.search(r"\bsums\b(?!_)", line)][2:]
    assert len(writes) == 5
    assert all(line.startswith("atomicAdd(") for line in writes), writes
    entry = (SOURCES / "cuda.cu").read_text()
    assert re.findall(r".*grad_value.*", entry) == [
        "                              static_cast<const void*>(arguments.grad_value)}) {",
        "  problem.grad_value = GradientSum(arguments.grad_value);",
    ]


KERNEL = re.compile(
    r"(forward|backward)_kernel\w+?ELi(\d+)E\w+'.*?"
    r"(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers",
    re.DOTALL,
)


@needs_nvcc
@pytest.mark.slow
def test_nvcc_compiles_within_the_registers_and_spills_nothing(tmp_path: Path) -> None:
    """48 registers leave room for 40 warps on a multiprocessor; small heads have small blocks and may take 56."""
    known = subprocess.run(["nvcc", "--list-gpu-code"], capture_output=True, text=True, check=True).stdout
    architectures = [each for each in (80, 90, 100) if f"sm_{each}\n" in known]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda each: compile_for_gpu(tmp_path / f"{each}.so", each), architectures))
    for architecture, report in zip(architectures, reports, strict=True):
        found = [KERNEL.search(part) for part in report.split("Compiling entry function ")[1:]]
        assert len(found) == 100
        for match in found:
            assert match, report
            direction, channels, stores, loads, registers = match.groups()
            assert (stores, loads) == ("0", "0"), f"{direction} of {channels} channels spills on sm_{architecture}"
            assert int(registers) <= (48 if int(channels) >= 32 else 56), (architecture, direction, channels)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match=r"driver|device"):
            GuardedKernels(tmp_path / f"{architectures[0]}.so", "cuda").forward(make_inputs([(2, 2)], fused=True))
