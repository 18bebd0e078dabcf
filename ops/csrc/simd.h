// Vectors of numbers by the compiler's extension, as wide as the instruction set that this text is compiled for.
//
// Everything is in an unnamed namespace: the same names stand for other widths in the objects of other instruction
// sets.
#pragma once

#include <type_traits>
#include <utility>

#include "numbers.h"

namespace prolab {
namespace {

#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif

template <typename T>
struct Simd {
  // A sample has four pixels, so no fewer; the compiler makes two registers of a vector where it has to.
  static constexpr int lanes = kRegisterBytes / sizeof(T) < 4 ? 4 : kRegisterBytes / sizeof(T);
  using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  typedef T Vector __attribute__((vector_size(lanes * sizeof(T))));
  typedef Index Indices __attribute__((vector_size(lanes * sizeof(T))));
};
template <typename T>
using Vector = typename Simd<T>::Vector;
template <typename T>
using Index = typename Simd<T>::Index;
template <typename T>
using Indices = typename Simd<T>::Indices;

// At aligned addresses.
PROLAB_INLINE Vector<float> load(const float* from) { return *reinterpret_cast<const Vector<float>*>(from); }
PROLAB_INLINE Vector<double> load(const double* from) { return *reinterpret_cast<const Vector<double>*>(from); }
PROLAB_INLINE Indices<float> load(const int32_t* from) { return *reinterpret_cast<const Indices<float>*>(from); }
PROLAB_INLINE Indices<double> load(const int64_t* from) { return *reinterpret_cast<const Indices<double>*>(from); }
PROLAB_INLINE void store(float* to, Vector<float> vector) { *reinterpret_cast<Vector<float>*>(to) = vector; }
PROLAB_INLINE void store(double* to, Vector<double> vector) { *reinterpret_cast<Vector<double>*>(to) = vector; }
PROLAB_INLINE void store(int32_t* to, Indices<float> vector) { *reinterpret_cast<Indices<float>*>(to) = vector; }
PROLAB_INLINE void store(int64_t* to, Indices<double> vector) { *reinterpret_cast<Indices<double>*>(to) = vector; }

PROLAB_INLINE Indices<float> truncate(Vector<float> numbers) {
  return __builtin_convertvector(numbers, Indices<float>);
}
PROLAB_INLINE Indices<double> truncate(Vector<double> numbers) {
  return __builtin_convertvector(numbers, Indices<double>);
}
PROLAB_INLINE void number_of(Indices<float> integers, Vector<float>& numbers) {
  numbers = __builtin_convertvector(integers, Vector<float>);
}
PROLAB_INLINE void number_of(Indices<double> integers, Vector<double>& numbers) {
  numbers = __builtin_convertvector(integers, Vector<double>);
}

// Lane i is lane source(i) of `a` followed by `b`.
template <typename T, typename Source, size_t... lane>
PROLAB_INLINE Vector<T> shuffle(Vector<T> a, Vector<T> b, Source source, std::index_sequence<lane...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, source(lane)...);
#else
  return __builtin_shuffle(a, b, Indices<T>{source(lane)...});
#endif
}

// `Source` is a type, so that its results are constants.
template <typename T, typename Source>
PROLAB_INLINE Vector<T> shuffle(Vector<T> a, Vector<T> b) {
  return shuffle<T>(a, b, Source(), std::make_index_sequence<Simd<T>::lanes>());
}

// The even lanes of `a` and `b`, and the odd ones.
struct Even {
  constexpr int operator()(int lane) const { return 2 * lane; }
};
struct Odd {
  constexpr int operator()(int lane) const { return 2 * lane + 1; }
};
// One lane of `a`, one of `b`, and so on: the first half of the pairs, and the second.
template <int lanes, int offset>
struct Pairs {
  constexpr int operator()(int lane) const { return lane / 2 + (lane % 2 ? lanes : 0) + offset; }
};
// Of pairs for two corners and pairs for the other two: the four corners of one sample after the other.
template <int lanes, int offset>
struct Quads {
  constexpr int operator()(int lane) const { return lane / 4 * 2 + lane % 2 + (lane % 4 < 2 ? 0 : lanes) + offset; }
};
// In blocks of `2 * half` lanes: the first half of a block of `a`, then the first half of a block of `b`; and the
// second.
template <int half, int lanes, int offset>
struct Halves {
  constexpr int operator()(int lane) const { return (lane & half ? lanes + (lane & ~half) : lane) + offset; }
};

// Lane i becomes the sum of all lanes of vectors[i]; overwrites the vectors.
template <typename T, int half = 1>
PROLAB_INLINE Vector<T> sums_of(Vector<T> vectors[]) {
  constexpr int lanes = Simd<T>::lanes;
  if constexpr (half == lanes) {
    return vectors[0];
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < lanes; i += 2 * half) {
      const Vector<T> a = vectors[i], b = vectors[i + half];
      vectors[i] = shuffle<T, Halves<half, lanes, 0>>(a, b) + shuffle<T, Halves<half, lanes, half>>(a, b);
    }
    return sums_of<T, 2 * half>(vectors);
  }
}

// Vectors for four corners of many samples, to the four corners of one sample after the other.
template <typename T>
PROLAB_INLINE void store_by_sample(T* to, const Vector<T> corners[4]) {
  constexpr int lanes = Simd<T>::lanes, half = lanes / 2;
  const Vector<T> upper = shuffle<T, Pairs<lanes, 0>>(corners[0], corners[1]);
  const Vector<T> lower = shuffle<T, Pairs<lanes, 0>>(corners[2], corners[3]);
  const Vector<T> upper_behind = shuffle<T, Pairs<lanes, half>>(corners[0], corners[1]);
  const Vector<T> lower_behind = shuffle<T, Pairs<lanes, half>>(corners[2], corners[3]);
  store(to, shuffle<T, Quads<lanes, 0>>(upper, lower));
  store(to + lanes, shuffle<T, Quads<lanes, half>>(upper, lower));
  store(to + 2 * lanes, shuffle<T, Quads<lanes, 0>>(upper_behind, lower_behind));
  store(to + 3 * lanes, shuffle<T, Quads<lanes, half>>(upper_behind, lower_behind));
}

// Vectors whose quarters belong to four corners, to one vector for each corner.
template <typename T>
PROLAB_INLINE void transpose_quarters(Vector<T> vectors[4]) {
  constexpr int lanes = Simd<T>::lanes, quarter = lanes / 4, half = lanes / 2;
  const Vector<T> even = shuffle<T, Halves<quarter, lanes, 0>>(vectors[0], vectors[1]);
  const Vector<T> odd = shuffle<T, Halves<quarter, lanes, quarter>>(vectors[0], vectors[1]);
  const Vector<T> even_behind = shuffle<T, Halves<quarter, lanes, 0>>(vectors[2], vectors[3]);
  const Vector<T> odd_behind = shuffle<T, Halves<quarter, lanes, quarter>>(vectors[2], vectors[3]);
  vectors[0] = shuffle<T, Halves<half, lanes, 0>>(even, even_behind);
  vectors[1] = shuffle<T, Halves<half, lanes, 0>>(odd, odd_behind);
  vectors[2] = shuffle<T, Halves<half, lanes, half>>(even, even_behind);
  vectors[3] = shuffle<T, Halves<half, lanes, half>>(odd, odd_behind);
}

// Four numbers at any address.
template <typename T>
struct FourOf {
  typedef T type __attribute__((vector_size(4 * sizeof(T))));
  typedef T anywhere __attribute__((vector_size(4 * sizeof(T)), aligned(alignof(T))));
};
template <typename T>
using Four = typename FourOf<T>::type;
template <typename T>
PROLAB_INLINE Four<T> load_four(const T* from) {
  return *reinterpret_cast<const typename FourOf<T>::anywhere*>(from);
}
template <typename T>
PROLAB_INLINE void store_four(T* to, Four<T> four) {
  *reinterpret_cast<typename FourOf<T>::anywhere*>(to) = four;
}
template <typename Fours>
PROLAB_INLINE auto total(Fours four) {
  return (four[0] + four[1]) + (four[2] + four[3]);
}

// e to the power of numbers that are not above zero; NaN stays NaN.
template <typename T>
PROLAB_INLINE Vector<T> exp_of_negative(Vector<T> numbers) {
  constexpr bool is_double = sizeof(T) == 8;
  constexpr int mantissa = is_double ? 52 : 23, bias = is_double ? 1023 : 127, terms = is_double ? 13 : 7;
  constexpr T lowest = is_double ? T(-708) : T(-87), rounder = is_double ? T(0x1.8p52) : T(0x1.8p23f);
  constexpr T ln2_high = is_double ? T(0x1.62e42feep-1) : T(0x1.62e4p-1),
              ln2_low = T(0.69314718055994530942 - ln2_high);
  numbers = numbers < lowest ? lowest + Vector<T>{} : numbers;
  const Vector<T> shifted = numbers * T(1.44269504088896340736) + rounder;  // its last bits are the power of two
  const Vector<T> power = shifted - rounder;
  const Vector<T> rest = (numbers - power * ln2_high) - power * ln2_low;  // within ln(2) / 2 of zero
  Vector<T> sum = T(1) + Vector<T>{};
  for (int k = terms; k > 0; --k) sum = T(1) + sum * rest * (T(1) / T(k));
  const Indices<T> scale = (Indices<T>(shifted) - bit_cast<Index<T>>(rounder) + bias) << mantissa;
  return sum * Vector<T>(scale);
}

// Numbers of one type to another.
template <typename From, typename To>
PROLAB_INLINE void copy(const From* __restrict from, To* __restrict to, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int k = 0; k < 16; ++k) narrow(widen(from[i + k]), to[i + k]);
  for (; i + 4 <= count; i += 4)
    for (int k = 0; k < 4; ++k) narrow(widen(from[i + k]), to[i + k]);
  for (; i < count; ++i) narrow(widen(from[i]), to[i]);
}

// The first `count` lanes, from and to any address and type; what is loaded is filled up with zeros.
template <typename T, typename V>
PROLAB_INLINE Vector<T> load_as(const V* from, int64_t count) {
  constexpr int lanes = Simd<T>::lanes;
  Vector<T> vector;
  if (std::is_same_v<T, V> && count >= lanes) {
    std::memcpy(&vector, from, sizeof(vector));
  } else {
    T numbers[lanes] = {};
    count >= lanes ? copy(from, numbers, lanes) : copy(from, numbers, count);
    std::memcpy(&vector, numbers, sizeof(vector));
  }
  return vector;
}

template <typename T, typename V>
PROLAB_INLINE void store_as(V* to, Vector<T> vector, int64_t count) {
  constexpr int lanes = Simd<T>::lanes;
  if (std::is_same_v<T, V> && count >= lanes) {
    std::memcpy(to, &vector, sizeof(vector));
  } else {
    T numbers[lanes];
    std::memcpy(numbers, &vector, sizeof(vector));
    count >= lanes ? copy(numbers, to, lanes) : copy(numbers, to, count);
  }
}

}  // namespace
}  // namespace prolab
