// The arithmetic of deformable attention, written once for the CPU kernel and the CUDA kernel.
//
// T is a number, or on a CPU a vector of numbers, one for each of several samples. Constants are written as floats,
// which every T takes exactly.
//
// A level of H x W pixels is thought to lie in a border of zeros, so that pixel (0, 0) has coordinates (1, 1) and no
// sample that counts lies at a negative coordinate.
#pragma once

#include "numbers.h"

namespace prolab {

// Towards zero, and back.
PROLAB_INLINE int truncate(float number) { return int(number); }
PROLAB_INLINE int truncate(double number) { return int(number); }
PROLAB_INLINE void number_of(int integer, float& number) { number = float(integer); }
PROLAB_INLINE void number_of(int integer, double& number) { number = double(integer); }

// Coordinate along an axis of `size` pixels, of a location in [0, 1].
template <typename T>
PROLAB_INLINE T coordinate(T location, T size) {
  return location * size + 0.5f;
}

// The four pixels around a sample, and how far the sample lies towards the right and the lower ones.
template <typename T>
struct Cell {
  decltype(T() > T()) inside;           // some of the four pixels may be inside the map
  decltype(truncate(T())) column, row;  // of the upper left pixel, in the map with its border
  T right, lower;                       // in [0, 1)
};

// A sample farther out than one pixel, or at NaN or infinity, is not inside and counts nothing.
template <typename T>
PROLAB_INLINE Cell<T> cell_around(T x, T y, T width, T height) {
  Cell<T> cell;
  cell.inside = (x > 0.0f) & (x < width + 1.0f) & (y > 0.0f) & (y < height + 1.0f);
  x = cell.inside ? x : T{};  // before it becomes an integer
  y = cell.inside ? y : T{};
  T column, row;
  cell.column = truncate(x);
  cell.row = truncate(y);
  number_of(cell.column, column);
  number_of(cell.row, row);
  cell.right = x - column;
  cell.lower = y - row;
  return cell;
}

// The cell's pixels in the map without its border, moved inside where they are not, and which of them are inside.
template <typename T>
struct Edges {
  decltype(truncate(T())) first_column, last_column, first_row, last_row;
  decltype(T() > T()) left, right, upper, lower;
};

template <typename T, typename Integer>
PROLAB_INLINE Edges<T> edges_of(const Cell<T>& cell, Integer width, Integer height) {
  Edges<T> edges;
  edges.left = cell.column > 0;
  edges.right = cell.column < width;
  edges.upper = cell.row > 0;
  edges.lower = cell.row < height;
  edges.first_column = edges.left ? cell.column - 1 : cell.column;
  edges.last_column = edges.right ? cell.column : cell.column - 1;
  edges.first_row = edges.upper ? cell.row - 1 : cell.row;
  edges.last_row = edges.lower ? cell.row : cell.row - 1;
  return edges;
}

// Share of each of the four pixels: upper left, upper right, lower left, lower right.
template <typename T>
PROLAB_INLINE void corner_shares(const Cell<T>& cell, const Edges<T>& edges, T weight, T shares[4]) {
  T lower = weight * cell.lower, upper = weight - lower;
  T right = cell.right, left = 1.0f - right;
  lower = edges.lower ? lower : T{};
  upper = edges.upper ? upper : T{};
  right = edges.right ? right : T{};
  left = edges.left ? left : T{};
  shares[0] = upper * left;
  shares[1] = upper * right;
  shares[2] = lower * left;
  shares[3] = lower * right;
}

// Gradients of a sample's weight and coordinates.
template <typename T>
struct SampleGradient {
  T weight, x, y;
};

// From the inner products of the output's gradient with the four pixels.
template <typename T>
PROLAB_INLINE SampleGradient<T> sample_gradient(const Cell<T>& cell, const Edges<T>& edges, T weight,
                                                const T products[4]) {
  const T d0 = edges.upper & edges.left ? products[0] : T{}, d1 = edges.upper & edges.right ? products[1] : T{},
          d2 = edges.lower & edges.left ? products[2] : T{}, d3 = edges.lower & edges.right ? products[3] : T{};
  const T upper_step = d1 - d0, lower_step = d3 - d2;  // from left to right
  const T at_top = d0 + cell.right * upper_step, at_bottom = d2 + cell.right * lower_step;
  return {at_top + cell.lower * (at_bottom - at_top), weight * (upper_step + cell.lower * (lower_step - upper_step)),
          weight * (at_bottom - at_top)};
}

// Gradient of a logit: `mean` is the sum of weight * weight_gradient over the softmax.
template <typename T>
PROLAB_INLINE T logit_gradient(T weight, T weight_gradient, T mean) {
  return weight * (weight_gradient - mean);
}

}  // namespace prolab
