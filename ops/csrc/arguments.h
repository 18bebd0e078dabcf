// What Python hands to a kernel: plain sizes and pointers, so that neither torch's headers nor its version matter here.
//
// B images, S value tokens over all levels, Q queries, M heads, D channels a head, L levels, P points a level.
// `ops/library.py` mirrors this structure field by field.
#pragma once

#include <cstdint>

namespace prolab {

enum NumberType : int64_t { kFloat32 = 0, kFloat64 = 1, kBFloat16 = 2, kFloat16 = 3 };

struct Arguments {
  int64_t images, tokens, queries, heads, channels, levels, points;
  NumberType value_type;     // of value, output and their gradients
  NumberType sampling_type;  // of positions, scores and their gradients: value's type, or the type of the sums
  const int64_t* sizes;      // (L, 2), height and width

  const void* value;      // (B, S, M, D)
  const void* reference;  // (Q, 2) in the type of the sums, or null
  const void*
      positions;       // (B, Q, M, L, P, 2): offsets in pixels from the reference, or locations in [0, 1] without one
  const void* scores;  // (B, Q, M, L, P): logits of a softmax over (L, P), or weights without a reference
  const void* grad_output;  // (B, Q, M, D), in the backward pass

  void* output;          // (B, Q, M, D), in the forward pass
  void* grad_value;      // (B, S, M, D); on a GPU in the type of the sums, and zero beforehand
  void* grad_positions;  // as positions
  void* grad_scores;     // as scores

  int64_t threads;  // on a CPU
  void* stream;     // on a GPU
};

}  // namespace prolab
