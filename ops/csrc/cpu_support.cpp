// Whether this processor has the instructions of a set that the kernels were compiled for.
#include <cstring>

extern "C" bool deformable_attention_supports(const char* set) {
#if defined(__x86_64__)
  if (!std::strcmp(set, "avx512"))
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!std::strcmp(set, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return !std::strcmp(set, "portable");
}
