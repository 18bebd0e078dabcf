// Multi-scale deformable attention on a GPU, with no header but CUDA's own.
//
// A group of lanes of one warp takes a query of one head of one image, each lane some of the head's channels. First the
// lanes share out the group's samples: what a sample needs beside channels is computed once and left in shared memory.
// Then all lanes go through all samples, every lane with its own channels. A block takes neighbouring queries of one
// head of one image, as these sample the same pixels, which then lie in the L1 cache.
#pragma once

#include <cuda_runtime.h>

#include "bilinear.h"

// Since compute capability 9.0 one atomic addition takes four floats.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define PROLAB_WIDE_ATOMICS
#endif

namespace prolab {

#if defined(PROLAB_WIDE_ATOMICS)
constexpr bool kWideAtomics = true;
#else
constexpr bool kWideAtomics = false;
#endif

constexpr int kMaximumLevels = 8;
constexpr unsigned kWarp = 0xffffffffu;

// N numbers that are loaded and stored at once.
template <typename V, int N>
struct alignas(sizeof(V) * N) Pack {
  V numbers[N];
};

template <int BYTES>
struct WordOf;
template <>
struct WordOf<2> {
  using type = unsigned short;
};
template <>
struct WordOf<4> {
  using type = unsigned;
};
template <>
struct WordOf<8> {
  using type = uint2;
};
template <>
struct WordOf<16> {
  using type = uint4;
};

// Loads what no kernel writes, so that the load may be moved up past stores and atomics; zeros where not `wanted`.
template <int N, typename V>
__device__ __forceinline__ Pack<V, N> load(const V* from, bool wanted = true) {
  using Word = typename WordOf<sizeof(Pack<V, N>)>::type;
  Word word{};
  if (wanted) word = __ldg(reinterpret_cast<const Word*>(from));
  return bit_cast<Pack<V, N>>(word);
}

template <int N, typename V>
__device__ __forceinline__ void widen(const Pack<V, N>& pack, float (&numbers)[N]) {
#pragma unroll
  for (int k = 0; k < N; ++k) numbers[k] = widen(pack.numbers[k]);
}

// Two at a time: a bfloat16 is the upper half of a float.
template <int N>
__device__ __forceinline__ void widen(const Pack<bfloat16, N>& pack, float (&numbers)[N]) {
  const auto pairs = bit_cast<Pack<uint32_t, N / 2>>(pack);
#pragma unroll
  for (int k = 0; k < N / 2; ++k) {
    numbers[2 * k] = bit_cast<float>(pairs.numbers[k] << 16);
    numbers[2 * k + 1] = bit_cast<float>(pairs.numbers[k] & 0xffff0000u);
  }
}

template <int N, typename V>
__device__ __forceinline__ void store(const float (&numbers)[N], V* to) {
  using Word = typename WordOf<sizeof(Pack<V, N>)>::type;
  Pack<V, N> pack;
#pragma unroll
  for (int k = 0; k < N; ++k) narrow(numbers[k], pack.numbers[k]);
  *reinterpret_cast<Word*>(to) = bit_cast<Word>(pack);
}

// Keeps the compiler from taking a pointer apart into its summands, which counting from it would add up anew each time.
template <typename T>
__device__ __forceinline__ T* whole(T* pointer) {
#if defined(__CUDA_ARCH__)
  size_t address = __cvta_generic_to_global(pointer);
  asm("" : "+l"(address));
  pointer = static_cast<T*>(__cvta_global_to_generic(address));
#endif
  return pointer;
}

// The gradient of the value, to which blocks add at the same time. It can only be added to, and only atomically.
class GradientSum {
 public:
  GradientSum() = default;
  PROLAB_INLINE explicit GradientSum(void* sums) : sums_(static_cast<float*>(sums)) {}

  __device__ __forceinline__ GradientSum from(int64_t place) const { return GradientSum(whole(sums_ + place)); }

  // Adds to four sums that lie STEP apart; one apart where atomics are wide.
  template <int STEP>
  __device__ __forceinline__ void add(int place, float4 terms) const {
    float* const sums = sums_ + place;
    if constexpr (kWideAtomics) {
      static_assert(STEP == 1, "a float4");
#if defined(PROLAB_WIDE_ATOMICS)
      atomicAdd(reinterpret_cast<float4*>(sums), terms);
#endif
    } else {
      atomicAdd(sums, terms.x);
      atomicAdd(sums + STEP, terms.y);
      atomicAdd(sums + 2 * STEP, terms.z);
      atomicAdd(sums + 3 * STEP, terms.w);
    }
  }

 private:
  float* sums_;
};

// Everything a kernel is given; by value, so that it lies in the constant bank and nobody waits for sizes. Places in an
// image are counted in `int`; only what comes before an image takes 64 bits.
template <typename V, typename S>
struct Problem {
  const V* value;           // (B, S, M, D)
  const float2* reference;  // (Q), or null
  const S* positions;       // (B, Q, M, L, P, 2)
  const S* scores;          // (B, Q, M, L, P)
  const V* grad_output;     // (B, Q, M, D)

  V* output;
  GradientSum grad_value;
  S* grad_positions;
  S* grad_scores;

  int value_numbers, output_numbers, all_samples;  // of an image
  int queries, heads, levels, points;
  unsigned levels_a_point;  // times 2^16, rounded up
  int width[kMaximumLevels], height[kMaximumLevels], start[kMaximumLevels];

  __device__ __forceinline__ int samples() const { return levels * points; }
  __device__ __forceinline__ int level_of(int sample) const { return unsigned(sample) * levels_a_point >> 16; }
};

constexpr int64_t kMaximumNumbers = int64_t(1) << 29;  // of an image in any tensor; `int` counts them
constexpr int kMaximumSamples = 95;                    // of a query and head; `level_of` is exact for these

// What positions and scores are: the policies of the kernels.
struct LocationsAndWeights {
  static constexpr bool kSoftmax = false;
  __device__ __forceinline__ static float along_axis(float, float location, float size) {
    return coordinate(location, size);
  }
  __device__ __forceinline__ static float position_gradient(float gradient, float size) { return gradient * size; }
};

struct OffsetsAndLogits {
  static constexpr bool kSoftmax = true;
  __device__ __forceinline__ static float along_axis(float reference, float offset, float size) {
    return coordinate(reference, size) + offset;
  }
  __device__ __forceinline__ static float position_gradient(float gradient, float) { return gradient; }
};

// Threads that a multiprocessor is to hold at a time. The registers that so many leave are the compiler's, who then
// loads all four pixels of a sample before it uses the first.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 750
constexpr int kResidentThreads = 1024;  // all that fit
#else
constexpr int kResidentThreads = 1280;
#endif

// How a block is divided when a lane takes VECTOR of a head's D channels.
template <int D, int VECTOR>
struct Division {
  static constexpr int kVector = VECTOR;
  static constexpr int kLanes = D / VECTOR;  // of a group
  static constexpr int kGroups = kLanes <= 8 ? 32 : 256 / kLanes;
  static constexpr int kThreads = kLanes * kGroups;
  static constexpr int kBlocks = kThreads < 128 ? 16 : kResidentThreads / kThreads;  // that a multiprocessor holds
  static_assert(D % VECTOR == 0 && 32 % kLanes == 0, "a group is a part of a warp");
};

// The forward pass moves values, 16 bytes a lane.
template <typename V, int D>
using ForwardDivision = Division<D, 16 / int(sizeof(V))>;

// The backward pass moves sums above all: of four floats a lane, eight lanes fill a line of the cache.
template <int D>
using BackwardDivision = Division<D, 4>;

// Sum over the lanes whose number differs in the bits of STEP and above, within LANES.
template <int LANES, int STEP = 1>
__device__ __forceinline__ float group_sum(float number) {
#pragma unroll
  for (int step = STEP; step < LANES; step *= 2) number += __shfl_xor_sync(kWarp, number, step);
  return number;
}

template <int LANES>
__device__ __forceinline__ float group_maximum(float number) {
#pragma unroll
  for (int step = 1; step < LANES; step *= 2) number = fmaxf(number, __shfl_xor_sync(kWarp, number, step));
  return number;
}

// Two lanes share two sums: one ends with `first` of both, the other, for which `second_here` holds, with `second`.
__device__ __forceinline__ float exchange(bool second_here, float first, float second, int step) {
  return (second_here ? second : first) + __shfl_xor_sync(kWarp, second_here ? first : second, step);
}

// A sample in shared memory: from the lane that located it to all lanes of its group, and back with its gradients.
struct alignas(16) Sample {
  struct Place {
    int pixel : 28;       // token of the upper left of its four pixels; there are 2^26 tokens at most
    unsigned inside : 4;  // a bit for each of the four that lies in the map
    float right, lower;   // as in Cell
  };
  union {
    Place place;
    SampleGradient<float> gradient;  // in place of the place, once every lane has read that
  };
  float weight;
};

// Samples of a group; an odd number of 16 bytes, so that groups read from different banks.
PROLAB_INLINE constexpr int samples_in_memory(int samples) { return samples | 1; }

// One group's lane, and what the group is at work on.
template <typename Division>
struct Lane {
  int lane, group, query, head;
  bool live;  // groups behind the last query do as the last one, and leave no trace
  int item;   // number of (query, head) in the image
  int64_t image;

  __device__ __forceinline__ Lane(int queries, int heads) {
    lane = threadIdx.x % Division::kLanes;
    group = threadIdx.x / Division::kLanes;
    query = blockIdx.x * Division::kGroups + group;
    live = query < queries;
    query = live ? query : queries - 1;
    head = blockIdx.y;
    item = query * heads + head;
    image = int(blockIdx.z);
  }
};

// Locates the group's samples and finds their weights, every lane some of them.
template <typename Mode, typename Division, typename V, typename S>
__device__ __forceinline__ void locate(const Problem<V, S>& problem, const Lane<Division>& my, Sample* samples) {
  constexpr int kLanes = Division::kLanes;
  const int count = problem.samples();
  const S* const positions = problem.positions + my.image * problem.all_samples * 2;
  const S* const scores = problem.scores + my.image * problem.all_samples;
  const float2 reference = Mode::kSoftmax ? problem.reference[my.query] : float2();
  float maximum = -INFINITY;
#pragma unroll 1
  for (int s = my.lane; s < count; s += kLanes) {
    const int level = problem.level_of(s), width = problem.width[level], height = problem.height[level];
    const int place = my.item * count + s;
    const Pack<S, 2> position = load<2>(positions + 2 * place);
    const float score = widen(load<1>(scores + place).numbers[0]);
    const float x = Mode::along_axis(reference.x, widen(position.numbers[0]), float(width));
    const float y = Mode::along_axis(reference.y, widen(position.numbers[1]), float(height));
    const Cell<float> cell = cell_around(x, y, float(width), float(height));
    const Edges<float> edges = edges_of(cell, width, height);
    const unsigned inside = (edges.left + 2u * edges.right) * (edges.upper + 4u * edges.lower);
    Sample sample;
    sample.place.pixel = problem.start[level] + (cell.row - 1) * width + cell.column - 1;
    sample.place.inside = my.live && cell.inside ? inside : 0u;
    sample.place.right = cell.right;
    sample.place.lower = cell.lower;
    sample.weight = score;
    samples[s] = sample;
    maximum = fmaxf(maximum, score);
  }
  if constexpr (Mode::kSoftmax) {
    maximum = group_maximum<kLanes>(maximum);
    float sum = 0;
#pragma unroll 1
    for (int s = my.lane; s < count; s += kLanes) sum += samples[s].weight = expf(samples[s].weight - maximum);
    const float scale = __fdividef(1.0f, group_sum<kLanes>(sum));
#pragma unroll 1
    for (int s = my.lane; s < count; s += kLanes) samples[s].weight *= scale;
  }
  __syncwarp();
}

// A sample's four pixels: where this lane's channels of them lie, counted from those of the image's first pixel.
template <typename V, int VECTOR>
struct Corners {
  int place[4];
  bool inside[4];
  Pack<V, VECTOR> numbers[4];  // zero outside the map

  __device__ __forceinline__ Corners(const V* pixels, const Sample& sample, int pixel_step, int line_step) {
    place[0] = sample.place.pixel * pixel_step;
    place[1] = place[0] + pixel_step;
    place[2] = place[0] + line_step;
    place[3] = place[1] + line_step;
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
      inside[corner] = sample.place.inside >> corner & 1;
      numbers[corner] = load<VECTOR>(pixels + place[corner], inside[corner]);
    }
  }
};

// What `bilinear.h` asks for: where the sample lies between its pixels, of which all count, as those outside are zero.
struct Between {
  Cell<float> cell{};
  Edges<float> edges{};

  __device__ __forceinline__ explicit Between(const Sample& sample) {
    cell.right = sample.place.right;
    cell.lower = sample.place.lower;
    edges.left = edges.right = edges.upper = edges.lower = true;
  }
};

template <typename V, typename S, typename Mode, int D>
__global__ void __launch_bounds__(ForwardDivision<V, D>::kThreads, ForwardDivision<V, D>::kBlocks)
    forward_kernel(const __grid_constant__ Problem<V, S> problem) {
  using Division = ForwardDivision<V, D>;
  constexpr int kVector = Division::kVector;
  extern __shared__ Sample shared_samples[];
  const Lane<Division> my(problem.queries, problem.heads);
  Sample* samples = shared_samples + my.group * samples_in_memory(problem.samples());
  locate<Mode>(problem, my, samples);

  const int pixel_step = problem.heads * D, channel = my.lane * kVector;
  const V* const pixels = whole(problem.value + my.image * problem.value_numbers + my.head * D + channel);
  float sums[kVector] = {};
  for (int level = 0; level < problem.levels; ++level) {
    const int line_step = problem.width[level] * pixel_step;
#pragma unroll 1
    for (int point = 0; point < problem.points; ++point) {
      const Sample sample = *samples++;
      const Corners<V, kVector> corners(pixels, sample, pixel_step, line_step);
      const Between between(sample);
      float shares[4];
      corner_shares(between.cell, between.edges, sample.weight, shares);
#pragma unroll
      for (int corner = 0; corner < 4; ++corner) {
        float numbers[kVector];
        widen(corners.numbers[corner], numbers);
#pragma unroll
        for (int k = 0; k < kVector; ++k) sums[k] += shares[corner] * numbers[k];
      }
    }
  }
  if (my.live) store(sums, problem.output + my.image * problem.output_numbers + my.item * D + channel);
}

// Sums a sample's gradients over the group and leaves them in `sum`, with fewer shuffles than three sums would take:
// from the first step on even lanes sum the weight's gradient only, odd ones x and y, from the second step x or y.
template <int LANES>
__device__ __forceinline__ void sum_gradients(const SampleGradient<float>& mine, int lane, SampleGradient<float>& sum) {
  static_assert(LANES > 1, "somebody to share with");
  const bool odd = lane & 1;
  const float y = mine.y + __shfl_xor_sync(kWarp, mine.y, 1);
  float number = exchange(odd, mine.weight, mine.x, 1);
  if constexpr (LANES > 2) {
    number = group_sum<LANES, 4>(exchange(lane & 2, number, odd ? y : number, 2));
    if (lane == 3) sum.y = number;
  } else if (odd) {
    sum.y = y;
  }
  if (lane == 0) sum.weight = number;
  if (lane == 1) sum.x = number;
}

template <typename V, typename S, typename Mode, int D>
__global__ void __launch_bounds__(BackwardDivision<D>::kThreads, BackwardDivision<D>::kBlocks)
    backward_kernel(const __grid_constant__ Problem<V, S> problem) {
  using Division = BackwardDivision<D>;
  constexpr int kLanes = Division::kLanes, kVector = Division::kVector;
  extern __shared__ Sample shared_samples[];
  const Lane<Division> my(problem.queries, problem.heads);
  const int count = problem.samples();
  Sample* const samples = shared_samples + my.group * samples_in_memory(count);
  locate<Mode>(problem, my, samples);

  const int pixel_step = problem.heads * D, channel = my.lane * kVector;
  const int64_t head = my.image * problem.value_numbers + my.head * D;
  const V* const pixels = whole(problem.value + head + channel);
  const V* const grad_output = problem.grad_output + my.image * problem.output_numbers + my.item * D;
  float gradient[kVector];
  widen(load<kVector>(grad_output + channel), gradient);

  // A lane adds to its own channels if it can add to four at once, and else to every kLanes-th, as then the lanes
  // of a group add to neighbours, which are one access to memory.
  constexpr int kStep = kWideAtomics ? 1 : kLanes;
  const int added = kWideAtomics ? channel : my.lane;
  const GradientSum grad_pixels = problem.grad_value.from(head + added);
  float terms[kVector];
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    terms[k] = kWideAtomics ? gradient[k] : widen(load<1>(grad_output + added + k * kStep).numbers[0]);
  }

  Sample* next = samples;
  for (int level = 0; level < problem.levels; ++level) {
    const int line_step = problem.width[level] * pixel_step;
#pragma unroll 1
    for (int point = 0; point < problem.points; ++point, ++next) {
      const Sample sample = *next;
      const Corners<V, kVector> corners(pixels, sample, pixel_step, line_step);
      const Between between(sample);
      float shares[4], products[4] = {};
      corner_shares(between.cell, between.edges, sample.weight, shares);
#pragma unroll
      for (int corner = 0; corner < 4; ++corner) {
        float numbers[kVector];
        widen(corners.numbers[corner], numbers);
#pragma unroll
        for (int k = 0; k < kVector; ++k) products[corner] += gradient[k] * numbers[k];
        const float share = shares[corner];
        if (corners.inside[corner] && share != 0) {
          grad_pixels.add<kStep>(corners.place[corner],
                                 make_float4(share * terms[0], share * terms[1], share * terms[2], share * terms[3]));
        }
      }
      // No lane still reads the sample when its gradients replace it: their sums hold what every lane made of it.
      sum_gradients<kLanes>(sample_gradient(between.cell, between.edges, sample.weight, products), my.lane,
                            next->gradient);
    }
  }
  __syncwarp();

  // Every lane writes the gradients of the samples that it has located.
  S* const grad_positions = problem.grad_positions + my.image * problem.all_samples * 2;
  S* const grad_scores = problem.grad_scores + my.image * problem.all_samples;
  float mean = 0;
  if constexpr (Mode::kSoftmax) {
#pragma unroll 1
    for (int s = my.lane; s < count; s += kLanes) mean += samples[s].weight * samples[s].gradient.weight;
    mean = group_sum<kLanes>(mean);
  }
#pragma unroll 1
  for (int s = my.lane; s < count && my.live; s += kLanes) {
    const int level = problem.level_of(s), place = my.item * count + s;
    const Sample sample = samples[s];
    const float position_gradient[2] = {
        Mode::position_gradient(sample.gradient.x, float(problem.width[level])),
        Mode::position_gradient(sample.gradient.y, float(problem.height[level])),
    };
    const float score_gradient[1] = {Mode::kSoftmax ? logit_gradient(sample.weight, sample.gradient.weight, mean)
                                                    : sample.gradient.weight};
    store(position_gradient, grad_positions + 2 * place);
    store(score_gradient, grad_scores + place);
  }
}

}  // namespace prolab
