// Stands in for CUDA's header of this name, so that g++ compiles CUDA kernels as they are and a CPU runs them.
//
// Every thread of a block is a fiber, and one block runs after another. A fiber runs until it comes to a meeting: a
// shuffle or a barrier of its warp, or a barrier of its block. It goes on when all that are to meet have come to the
// same place. When nobody is left who could go on, somebody waits for a lane that has exited or waits elsewhere: on a
// GPU a hang or a wrong result, here the error of the launch. Every other block runs its threads backwards, so that no
// thread gets by without a barrier because those before it happen to have run.
//
// What this cannot show: additions that are not atomic (no two fibers run at a time), and memory that is seen late.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline float __fdividef(float numerator, float denominator) { return numerator / denominator; }

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cuda_on_cpu {

constexpr unsigned kWarpSize = 32;
constexpr size_t kStackBytes = 64 * 1024;
constexpr size_t kSharedBytes = 48 * 1024;  // what a block may have without asking for more

// The array that a kernel declares as `extern __shared__`; to be set by whoever defines it.
inline void* shared_memory = nullptr;

struct Meeting {
  const char* kind = nullptr;
  int line = 0;
  bool of_block = false;
  unsigned mask = 0;  // lanes of the warp

  bool operator==(const Meeting& other) const {
    return strcmp(kind, other.kind) == 0 && line == other.line && of_block == other.of_block && mask == other.mask;
  }
  std::string text() const { return std::string(kind) + " in line " + std::to_string(line); }
};

struct Thread {
  enum State { kRuns, kWaits, kExited };

  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  State state;
  Meeting meeting;  // at which it waits
  unsigned source;  // lane whose number it gets in a shuffle
  uint64_t given, received;
};

// The block that is running.
class Block {
 public:
  // Runs `kernel` in every thread; an error's text, or nothing.
  std::string run(unsigned threads, const std::function<void()>& kernel) {
    kernel_ = &kernel;
    error_.clear();
    threads_.resize(threads);
    backwards_ = !backwards_;
    for (Thread& thread : threads_) start(thread);
    while (error_.empty()) {
      for (unsigned i = 0; i < threads && error_.empty(); ++i) {
        current_ = backwards_ ? threads - 1 - i : i;
        if (threads_[current_].state == Thread::kRuns) resume();
      }
      if (!error_.empty()) break;
      const Thread* waiting = nullptr;
      for (const Thread& thread : threads_) {
        if (thread.state == Thread::kWaits) waiting = &thread;
      }
      if (!waiting) break;
      if (!let_go()) explain(*waiting);
    }
    return error_;
  }

  // Called by a fiber: waits for the others of the meeting, and gives the number of the lane `source`.
  uint64_t meet(const Meeting& meeting, uint64_t given = 0, unsigned source = 0) {
    Thread& thread = threads_[current_];
    if (!meeting.of_block && !(meeting.mask >> lane(thread) & 1)) {
      fail(name(thread) + " is not in the mask of " + meeting.text());
    }
    if (!meeting.of_block && !(meeting.mask >> source & 1)) {
      fail(name(thread) + " reads lane " + std::to_string(source) + ", not in the mask of " + meeting.text());
    }
    thread.meeting = meeting;
    thread.given = given;
    thread.source = source;
    thread.state = Thread::kWaits;
    swapcontext(&thread.context, &scheduler_);
    return thread.received;
  }

  // Called by a fiber, which does not go on.
  void fail(const std::string& error) {
    error_ = error;
    swapcontext(&threads_[current_].context, &scheduler_);
  }

  unsigned current_lane() const { return current_ % kWarpSize; }

 private:
  static void enter();

  void start(Thread& thread) {
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = kStackBytes;
    thread.context.uc_link = &scheduler_;
    thread.state = Thread::kRuns;
    makecontext(&thread.context, enter, 0);
  }

  void resume() {
    threadIdx = dim3(current_ % blockDim.x, current_ / blockDim.x % blockDim.y, current_ / (blockDim.x * blockDim.y));
    swapcontext(&scheduler_, &threads_[current_].context);
  }

  unsigned lane(const Thread& thread) const { return unsigned(&thread - threads_.data()) % kWarpSize; }

  std::string name(const Thread& thread) const {
    return "lane " + std::to_string(lane(thread)) + " of warp " +
           std::to_string((&thread - threads_.data()) / kWarpSize);
  }

  // Those who are to meet; null for a lane that the block does not have.
  std::vector<Thread*> members(const Thread& thread) {
    std::vector<Thread*> members;
    const unsigned count = unsigned(threads_.size());
    const unsigned first = unsigned(&thread - threads_.data()) / kWarpSize * kWarpSize;
    const bool of_block = thread.meeting.of_block;
    for (unsigned i = of_block ? 0 : first; i < (of_block ? count : first + kWarpSize); ++i) {
      if (of_block || (thread.meeting.mask >> (i - first) & 1)) members.push_back(i < count ? &threads_[i] : nullptr);
    }
    return members;
  }

  static bool has_come(const Thread* member, const Meeting& meeting) {
    return member && member->state == Thread::kWaits && member->meeting == meeting;
  }

  // Ends the meetings to which all have come; false if there is none.
  bool let_go() {
    bool any = false;
    for (Thread& thread : threads_) {
      if (thread.state != Thread::kWaits) continue;
      const std::vector<Thread*> all = members(thread);
      bool complete = true;
      for (const Thread* member : all) complete = complete && has_come(member, thread.meeting);
      if (!complete) continue;
      any = true;
      Thread* const warp = &thread - lane(thread);
      for (Thread* member : all) {
        if (!thread.meeting.of_block) member->received = warp[member->source].given;
        member->state = Thread::kRuns;
      }
    }
    return any;
  }

  void explain(const Thread& waiting) {
    for (const Thread* member : members(waiting)) {
      if (has_come(member, waiting.meeting)) continue;
      error_ = name(waiting) + " waits at " + waiting.meeting.text() + " for ";
      if (!member) {
        error_ += "a lane that the block does not have";
      } else if (member->state == Thread::kExited) {
        error_ += name(*member) + ", which has exited";
      } else {
        error_ += name(*member) + ", which waits at " + member->meeting.text();
      }
      return;
    }
  }

  std::vector<Thread> threads_;
  unsigned current_ = 0;
  bool backwards_ = true;
  ucontext_t scheduler_;
  const std::function<void()>* kernel_ = nullptr;
  std::string error_;
};

inline Block block;

inline void Block::enter() {
  (*block.kernel_)();
  block.threads_[block.current_].state = Thread::kExited;
}

inline std::string last_error;

}  // namespace cuda_on_cpu

inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE()) {
  cuda_on_cpu::block.meet({"__syncwarp", line, false, mask}, 0, cuda_on_cpu::block.current_lane());
}

inline void __syncthreads(int line = __builtin_LINE()) { cuda_on_cpu::block.meet({"__syncthreads", line, true, 0}); }

// A lane reads from its own segment of `width` lanes and from those before it; from a later one it gets its own number.
template <typename T>
T __shfl_xor_sync(unsigned mask, T number, int step, int width = 32, int line = __builtin_LINE()) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "a number");
  const unsigned lane = cuda_on_cpu::block.current_lane(), end = (lane / unsigned(width) + 1) * unsigned(width);
  const unsigned other = lane ^ unsigned(step);
  uint64_t given = 0;
  memcpy(&given, &number, sizeof(T));
  const uint64_t received =
      cuda_on_cpu::block.meet({"__shfl_xor_sync", line, false, mask}, given, other < end ? other : lane);
  memcpy(&number, &received, sizeof(T));
  return number;
}

template <typename T>
T __ldg(const T* from) {
  if (reinterpret_cast<uintptr_t>(from) % alignof(T)) cuda_on_cpu::block.fail("misaligned load");
  return *from;
}

inline float atomicAdd(float* sum, float term) {
  const float before = *sum;
  *sum += term;
  return before;
}

inline float4 atomicAdd(float4* sum, float4 term) {
  if (reinterpret_cast<uintptr_t>(sum) % alignof(float4)) cuda_on_cpu::block.fail("misaligned addition");
  const float4 before = *sum;
  *sum = {before.x + term.x, before.y + term.y, before.z + term.z, before.w + term.w};
  return before;
}

using cudaStream_t = void*;

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9, cudaErrorLaunchFailure = 719 };

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
};

inline cudaError_t cudaGetLastError() { return cudaSuccess; }

inline const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorInvalidConfiguration) return "invalid configuration argument";
  return error == cudaSuccess ? "no error" : cuda_on_cpu::last_error.c_str();
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  gridDim = config->gridDim;
  blockDim = config->blockDim;
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  const bool grid_fits = gridDim.x <= INT32_MAX && gridDim.y <= 65535 && gridDim.z <= 65535;
  if (!grid_fits || gridDim.x * gridDim.y * gridDim.z == 0 || threads == 0 || threads > 1024 ||
      config->dynamicSmemBytes > cuda_on_cpu::kSharedBytes) {
    return cudaErrorInvalidConfiguration;
  }
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
        // Shared memory holds what the block before has left; here NaN, which spoils whatever reads it.
        if (cuda_on_cpu::shared_memory) memset(cuda_on_cpu::shared_memory, 0xff, cuda_on_cpu::kSharedBytes);
        cuda_on_cpu::last_error = cuda_on_cpu::block.run(threads, [&] { kernel(arguments...); });
        if (!cuda_on_cpu::last_error.empty()) return cudaErrorLaunchFailure;
      }
    }
  }
  return cudaSuccess;
}
