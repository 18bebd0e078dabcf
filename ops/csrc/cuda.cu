// Entry points of the CUDA kernels, and the choice among them. They launch on `stream` and wait for nothing.
#include <cstdint>
#include <type_traits>
#include <utility>

#include "arguments.h"
#include "cuda_kernel.cuh"

namespace prolab {
namespace {

constexpr int64_t kGridHeight = 65535;  // blocks along the second and the third axis of a grid

using Channels = std::integer_sequence<int, 8, 16, 32, 64, 128>;

// Calls `launch` with the D that is the arguments'.
template <int... D, typename Launch>
const char* with_channels(int64_t channels, std::integer_sequence<int, D...>, Launch launch) {
  const char* error = "the CUDA kernels take heads of 8, 16, 32, 64 or 128 channels";
  static_cast<void>(((channels == D && (error = launch(std::integral_constant<int, D>()), true)) || ...));
  return error;
}

bool aligned(const void* pointer, uintptr_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

// What the kernels cannot do, or null.
const char* obstacle(const Arguments& arguments) {
  if (arguments.levels < 1 || arguments.levels > kMaximumLevels) return "the CUDA kernels take 1 to 8 levels";
  if (arguments.heads > kGridHeight || arguments.images > kGridHeight) {
    return "the CUDA kernels take at most 65535 heads and images";
  }
  if (arguments.points > kMaximumSamples || arguments.levels * arguments.points > kMaximumSamples) {
    return "the CUDA kernels take at most 95 samples of a query and head";
  }
  const int64_t samples = arguments.levels * arguments.points;
  for (const int64_t numbers : {arguments.tokens * arguments.channels, arguments.queries * arguments.channels,
                                arguments.queries * samples * 2}) {
    if (numbers * arguments.heads > kMaximumNumbers) return "the CUDA kernels take at most 2^29 numbers an image";
  }
  for (const void* pointer : {arguments.value, arguments.grad_output, static_cast<const void*>(arguments.output),
                              static_cast<const void*>(arguments.grad_value)}) {
    if (!aligned(pointer, 16)) return "the CUDA kernels take values and outputs that begin at a multiple of 16 bytes";
  }
  for (const void* pointer :
       {arguments.reference, arguments.positions, static_cast<const void*>(arguments.grad_positions)}) {
    if (!aligned(pointer, 8)) return "the CUDA kernels take positions that begin at a multiple of 8 bytes";
  }
  return nullptr;
}

template <typename V, typename S>
Problem<V, S> problem_of(const Arguments& arguments) {
  Problem<V, S> problem{};
  problem.value = static_cast<const V*>(arguments.value);
  problem.reference = static_cast<const float2*>(arguments.reference);
  problem.positions = static_cast<const S*>(arguments.positions);
  problem.scores = static_cast<const S*>(arguments.scores);
  problem.grad_output = static_cast<const V*>(arguments.grad_output);
  problem.output = static_cast<V*>(arguments.output);
  problem.grad_value = GradientSum(arguments.grad_value);
  problem.grad_positions = static_cast<S*>(arguments.grad_positions);
  problem.grad_scores = static_cast<S*>(arguments.grad_scores);
  const int64_t items = arguments.queries * arguments.heads;
  problem.value_numbers = int(arguments.tokens * arguments.heads * arguments.channels);
  problem.output_numbers = int(items * arguments.channels);
  problem.all_samples = int(items * arguments.levels * arguments.points);
  problem.queries = int(arguments.queries);
  problem.heads = int(arguments.heads);
  problem.levels = int(arguments.levels);
  problem.points = int(arguments.points);
  problem.levels_a_point = problem.points ? 65536u / unsigned(problem.points) + 1u : 0u;
  int64_t start = 0;
  for (int level = 0; level < problem.levels; ++level) {
    const int64_t height = arguments.sizes[2 * level], width = arguments.sizes[2 * level + 1];
    problem.height[level] = int(height);
    problem.width[level] = int(width);
    problem.start[level] = int(start);
    start += height * width;
  }
  return problem;
}

template <typename Division, typename V, typename S>
const char* launch(void (*kernel)(Problem<V, S>), const Arguments& arguments) {
  static_assert(Division::kGroups * sizeof(Sample) * samples_in_memory(kMaximumSamples) <= 48 * 1024,
                "a block has no more shared memory without asking");
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(unsigned((arguments.queries + Division::kGroups - 1) / Division::kGroups),
                        unsigned(arguments.heads), unsigned(arguments.images));
  config.blockDim = dim3(Division::kThreads);
  config.dynamicSmemBytes =
      Division::kGroups * sizeof(Sample) * samples_in_memory(int(arguments.levels * arguments.points));
  config.stream = static_cast<cudaStream_t>(arguments.stream);
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, problem_of<V, S>(arguments));
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();  // so that the error is not found a second time by whoever asks next
  return cudaGetErrorString(error);
}

template <bool FORWARD, typename V, typename S, typename Mode>
const char* run_kernel(const Arguments& arguments) {
  return with_channels(arguments.channels, Channels(), [&](auto channels) {
    constexpr int D = decltype(channels)::value;
    if constexpr (FORWARD) return launch<ForwardDivision<V, D>, V, S>(forward_kernel<V, S, Mode, D>, arguments);
    if constexpr (!FORWARD) return launch<BackwardDivision<D>, V, S>(backward_kernel<V, S, Mode, D>, arguments);
  });
}

template <bool FORWARD, typename V, typename S>
const char* run_mode(const Arguments& arguments) {
  return arguments.reference ? run_kernel<FORWARD, V, S, OffsetsAndLogits>(arguments)
                             : run_kernel<FORWARD, V, S, LocationsAndWeights>(arguments);
}

template <bool FORWARD, typename V>
const char* run_sampling(const Arguments& arguments) {
  if (arguments.sampling_type == kFloat32) return run_mode<FORWARD, V, float>(arguments);
  if (arguments.sampling_type == arguments.value_type) return run_mode<FORWARD, V, V>(arguments);
  return "the CUDA kernels take positions and scores of the value's type or in float32";
}

template <bool FORWARD>
const char* run(const Arguments& arguments) {
  if (const char* error = obstacle(arguments)) return error;
  if (arguments.images == 0 || arguments.queries == 0 || arguments.heads == 0) return nullptr;
  switch (arguments.value_type) {
    case kFloat32: return run_sampling<FORWARD, float>(arguments);
    case kBFloat16: return run_sampling<FORWARD, bfloat16>(arguments);
    case kFloat16: return run_sampling<FORWARD, float16>(arguments);
    default: return "the CUDA kernels take values in float32, bfloat16 or float16";
  }
}

}  // namespace
}  // namespace prolab

// Null, or a text that says why nothing was launched.
extern "C" const char* deformable_attention_cuda_forward(const prolab::Arguments* arguments) {
  return prolab::run<true>(*arguments);
}

extern "C" const char* deformable_attention_cuda_backward(const prolab::Arguments* arguments) {
  return prolab::run<false>(*arguments);
}
