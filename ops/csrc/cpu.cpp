// The kernels of one instruction set: compiled once for each, with PROLAB_INSTRUCTIONS naming it.
#include "cpu_kernel.h"

namespace prolab {
namespace {

template <typename V>
void run_channels(const Arguments& arguments, bool backward) {
  constexpr int lanes = Simd<Sum<V>>::lanes;
  constexpr int many = 128 / kRegisterBytes;  // 32 channels in float32, what every released network has
  if (arguments.channels % (many * lanes) == 0) return run<Kernel<V, many, true>>(arguments, backward);
  if (arguments.channels % lanes == 0) return run<Kernel<V, 1, true>>(arguments, backward);
  run<Kernel<V, 1, false>>(arguments, backward);
}

// Nothing, or what went wrong.
const char* run_value_type(const Arguments& arguments, bool backward) {
  try {
    switch (arguments.value_type) {
      case kFloat32:
        run_channels<float>(arguments, backward);
        break;
      case kFloat64:
        run_channels<double>(arguments, backward);
        break;
      case kBFloat16:
        run_channels<bfloat16>(arguments, backward);
        break;
      case kFloat16:
        run_channels<float16>(arguments, backward);
        break;
    }
  } catch (const std::bad_alloc&) {
    return "out of memory";
  }
  return nullptr;
}

}  // namespace
}  // namespace prolab

#define PROLAB_JOIN(set, direction) deformable_attention_##set##_##direction
#define PROLAB_NAME(set, direction) PROLAB_JOIN(set, direction)

extern "C" const char* PROLAB_NAME(PROLAB_INSTRUCTIONS, forward)(const prolab::Arguments* arguments) {
  return prolab::run_value_type(*arguments, false);
}

extern "C" const char* PROLAB_NAME(PROLAB_INSTRUCTIONS, backward)(const prolab::Arguments* arguments) {
  return prolab::run_value_type(*arguments, true);
}
