// As many loads, and in the backward pass stores, of a row of pixels as deformable attention needs, all out of the
// first-level cache and with nothing else to do but to multiply and add: no implementation can be faster.
#include <cstdint>

typedef float Vector __attribute__((vector_size(64)));

namespace {
constexpr int kVectors = 256;  // 16 KiB
Vector pixels[kVectors], gradients[kVectors];
}  // namespace

// `rows` rows of 32 numbers; returns something that depends on all of them.
extern "C" float forward_floor(int64_t rows) {
  Vector sum[8] = {};
  for (int64_t row = 0; row < rows; row += 4) {
    for (int i = 0; i < 8; ++i) sum[i] += pixels[(row * 2 + i) % kVectors] * 0.5f;
    __asm__ volatile("" ::: "memory");  // the compiler must not know that the pixels are always the same
  }
  for (int i = 1; i < 8; ++i) sum[0] += sum[i];
  return sum[0][0];
}

extern "C" float backward_floor(int64_t rows) {
  Vector sum[8] = {};
  for (int64_t row = 0; row < rows; row += 4)
    for (int i = 0; i < 8; ++i) {
      const int64_t place = (row * 2 + i) % kVectors;
      sum[i] += pixels[place] * 0.5f;
      gradients[place] += sum[i] * 0.25f;
    }
  for (int i = 1; i < 8; ++i) sum[0] += sum[i];
  return sum[0][0] + gradients[rows % kVectors][0];
}
