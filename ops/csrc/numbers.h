// 16-bit numbers, the same on every compiler and device, and the type in which their sums are made.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define PROLAB_INLINE __host__ __device__ __forceinline__
#else
#define PROLAB_INLINE inline __attribute__((always_inline))
#endif

namespace prolab {

struct bfloat16 {
  uint16_t bits;
};

struct float16 {
  uint16_t bits;
};

template <typename To, typename From>
PROLAB_INLINE To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "as many bits");
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

// The type in which sums over numbers of type V are made.
template <typename V>
struct SumOf {
  using type = float;
};
template <>
struct SumOf<double> {
  using type = double;
};
template <typename V>
using Sum = typename SumOf<V>::type;

PROLAB_INLINE float widen(float number) { return number; }
PROLAB_INLINE double widen(double number) { return number; }
PROLAB_INLINE float widen(bfloat16 number) { return bit_cast<float>(uint32_t(number.bits) << 16); }
PROLAB_INLINE float widen(float16 number) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(number.bits));
#else
  // The exponent is moved by a multiplication, which brings subnormal numbers along; no branch, so loops vectorise.
  const uint32_t magnitude = uint32_t(number.bits & 0x7fffu) << 13;
  const float moved = bit_cast<float>(magnitude) * 0x1p112f;
  const uint32_t not_finite = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
  return bit_cast<float>(bit_cast<uint32_t>(moved) | not_finite | uint32_t(number.bits & 0x8000u) << 16);
#endif
}

// Rounds to the nearest number, ties to even.
PROLAB_INLINE void narrow(float number, float& to) { to = number; }
PROLAB_INLINE void narrow(double number, double& to) { to = number; }
PROLAB_INLINE void narrow(float number, bfloat16& to) {
#if defined(__CUDA_ARCH__)
  to.bits = __bfloat16_as_ushort(__float2bfloat16_rn(number));
#else
  const uint32_t bits = bit_cast<uint32_t>(number);
  const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  to.bits = uint16_t((is_nan ? bits | 0x400000u : rounded) >> 16);
#endif
}
PROLAB_INLINE void narrow(float number, float16& to) {
#if defined(__CUDA_ARCH__)
  to.bits = __half_as_ushort(__float2half_rn(number));
#else
  const uint32_t bits = bit_cast<uint32_t>(number), magnitude = bits & 0x7fffffffu;
  const float size = bit_cast<float>(magnitude);
  // Adding half of a subnormal float16's unit scale lets the addition round; larger numbers are rounded as integers.
  const uint32_t subnormal = bit_cast<uint32_t>(size + 0.5f) - 0x3f000000u;
  const uint32_t normal = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  const uint32_t finite = size < 0x1p-14f ? subnormal : normal;
  const uint32_t not_finite = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  to.bits = uint16_t((magnitude >= 0x477ff000u ? not_finite : finite) | (bits >> 16 & 0x8000u));
#endif
}

}  // namespace prolab
