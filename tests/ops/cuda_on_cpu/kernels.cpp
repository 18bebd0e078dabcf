// The CUDA kernels and their entry points, as nvcc gets them, compiled for a CPU.
#include "cuda.cu"

namespace prolab {

// What the kernels declare as `extern __shared__`.
Sample shared_samples[cuda_on_cpu::kSharedBytes / sizeof(Sample)];

namespace {
const bool known = (cuda_on_cpu::shared_memory = shared_samples, true);
}

}  // namespace prolab
