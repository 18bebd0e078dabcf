// Deformable attention on a CPU, forward and backward, for the instruction set that this text is compiled for.
//
// A block of queries is taken through two steps: where its samples lie, for a vector of samples at a time, and then
// their pixels, one sample after the other, for a vector of channels at a time. The forward pass shares the queries out
// among threads, the backward pass the heads: no two threads write to the same place, and the order of every sum is the
// same for any number of threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>

#include "arguments.h"
#include "simd.h"  // before the templates that are used with its vectors
#include "bilinear.h"

namespace prolab {
namespace {

// Samples whose places are found at once: enough for long loops, few enough for the first-level cache.
constexpr int kBlockSamples = 384;
// Samples of a task of the forward pass: enough to make the hand-over cheap, few enough to occupy many threads.
constexpr int kTaskSamples = 1 << 14;

// Zeros on whole cache lines.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t count) {
    const size_t bytes = (size_t(count) * sizeof(T) / kLine + 1) * kLine;
    void* memory = std::aligned_alloc(kLine, bytes);
    if (!memory) throw std::bad_alloc();
    std::memset(memory, 0, bytes);
    memory_.reset(static_cast<T*>(memory));
  }
  operator T*() const { return memory_.get(); }

 private:
  static constexpr size_t kLine = 64;
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T[], Free> memory_;
};

inline int round_up(int64_t count, int64_t multiple) { return int((count + multiple - 1) / multiple * multiple); }

// Some queries and heads of one image.
struct Task {
  int64_t image, query, queries, head, heads;
};

// The samples of a block of queries for the heads of a task: query by query, head by head, level by level. Each head's
// are filled up to a multiple of four with samples that lie nowhere, so that sums come in whole vectors.
template <typename T>
struct Samples {
  static constexpr int lanes = Simd<T>::lanes;

  bool fused;  // positions are offsets from a reference
  int of_head, padded, count;
  Buffer<T> width, height;         // of the sample's level
  Buffer<Index<T>> start, stride;  // of the sample's level: its first number, and from one row to the next
  Buffer<T> positions;             // pairs (x, y), as they are read
  Buffer<T> origin_x, origin_y;    // coordinates of the reference in the sample's level
  Buffer<T> weight;
  Buffer<Index<T>> corner;       // where the upper left pixel lies; negative when the sample lies nowhere
  Buffer<Index<T>> right, down;  // from there to the pixel on the right and to the one below; zero at the map's edges
  Buffer<T> shares;              // of the four pixels, sample by sample
  Buffer<T> products;            // of the output's gradient with the pixels, as `sums_of` leaves them
  Buffer<T> grad_positions, grad_weight;

  Samples(const Arguments& arguments, int64_t heads, int64_t queries)
      : fused(arguments.reference),
        of_head(int(arguments.levels * arguments.points)),
        padded(round_up(of_head, 4)),
        count(round_up(queries * heads * padded, lanes)),
        width(count),
        height(count),
        start(count),
        stride(count),
        positions(2 * count),
        origin_x(count),
        origin_y(count),
        weight(count),
        corner(count),
        right(count),
        down(count),
        shares(4 * count),
        products(4 * count),
        grad_positions(2 * count),
        grad_weight(count) {
    const int64_t token = arguments.heads * arguments.channels;
    for (int s = 0; s < count; ++s) {
      positions[2 * s] = positions[2 * s + 1] = std::numeric_limits<T>::quiet_NaN();
      const int64_t level = s % padded < of_head ? s % padded / arguments.points : 0;
      int64_t first = 0;
      for (int64_t l = 0; l < level; ++l) first += arguments.sizes[2 * l] * arguments.sizes[2 * l + 1];
      height[s] = T(arguments.sizes[2 * level]);
      width[s] = T(arguments.sizes[2 * level + 1]);
      start[s] = Index<T>(first * token);
      stride[s] = Index<T>(arguments.sizes[2 * level + 1] * token);
    }
  }

  // Find the four pixels of each sample, and their shares; from one token to the next it is `token` numbers.
  void locate(Index<T> token) {
    for (int s = 0; s < count; s += lanes) {
      const Vector<T> w = load(width + s), h = load(height + s);
      const Cell<Vector<T>> cell = cell_of(s, w, h);
      const Edges<Vector<T>> edges = edges_of(cell, truncate(w), truncate(h));
      Vector<T> share[4];
      corner_shares(cell, edges, load(weight + s), share);
      store_by_sample<T>(shares + 4 * s, share);

      const Indices<T> row = load(stride + s);
      const Indices<T> place = load(start + s) + edges.first_row * row + edges.first_column * token;
      store(corner + s, cell.inside ? place : Indices<T>{} - 1);
      store(right + s, (edges.last_column - edges.first_column) * token);
      store(down + s, (edges.last_row - edges.first_row) * row);
    }
  }

  // Turn the products into gradients of weights and positions.
  void differentiate() {
    for (int s = 0; s < count; s += lanes) {
      const Vector<T> w = load(width + s), h = load(height + s);
      const Cell<Vector<T>> cell = cell_of(s, w, h);
      const Edges<Vector<T>> edges = edges_of(cell, truncate(w), truncate(h));
      Vector<T> d[4] = {load(products + 4 * s), load(products + 4 * s + lanes), load(products + 4 * s + 2 * lanes),
                        load(products + 4 * s + 3 * lanes)};
      transpose_quarters<T>(d);
      const SampleGradient<Vector<T>> gradient = sample_gradient(cell, edges, load(weight + s), d);
      const Vector<T> x = fused ? gradient.x : gradient.x * w, y = fused ? gradient.y : gradient.y * h;
      store(grad_weight + s, gradient.weight);
      store(grad_positions + 2 * s, shuffle<T, Pairs<lanes, 0>>(x, y));
      store(grad_positions + 2 * s + lanes, shuffle<T, Pairs<lanes, lanes / 2>>(x, y));
    }
  }

 private:
  // The cells of the samples from `s` on, in levels of width `w` and height `h`.
  Cell<Vector<T>> cell_of(int s, Vector<T> w, Vector<T> h) const {
    const Vector<T> first = load(positions + 2 * s), second = load(positions + 2 * s + lanes);
    const Vector<T> x = shuffle<T, Even>(first, second), y = shuffle<T, Odd>(first, second);
    if (fused) return cell_around(load(origin_x + s) + x, load(origin_y + s) + y, w, h);
    return cell_around(coordinate(x, w), coordinate(y, h), w, h);
  }
};

// The softmax of each run of `length` numbers, a multiple of four; `count` is one of whole vectors.
template <typename T>
void softmax(T* numbers, int count, int length) {
  for (T* run = numbers; run < numbers + count; run += length) {
    Four<T> largest = load_four(run);
    for (int s = 4; s < length; s += 4) {
      const Four<T> other = load_four(run + s);
      largest = other > largest ? other : largest;
    }
    const T of_all = std::max(std::max(largest[0], largest[1]), std::max(largest[2], largest[3]));
    for (int s = 0; s < length; s += 4) store_four(run + s, load_four(run + s) - of_all);
  }
  for (int s = 0; s < count; s += Simd<T>::lanes) store(numbers + s, exp_of_negative<T>(load(numbers + s)));
  for (T* run = numbers; run < numbers + count; run += length) {
    Four<T> sum = load_four(run);
    for (int s = 4; s < length; s += 4) sum += load_four(run + s);
    const T factor = T(1) / total(sum);
    for (int s = 0; s < length; s += 4) store_four(run + s, load_four(run + s) * factor);
  }
}

// Forward and backward passes over values of type V, `vectors` vectors of channels at a time; `whole`: the channels are
// a multiple of that.
template <typename V, int vectors, bool whole>
class Kernel {
  using T = Sum<V>;
  static constexpr int lanes = Simd<T>::lanes;

 public:
  // For tasks of up to so many heads.
  Kernel(const Arguments& arguments, int64_t heads)
      : a(arguments),
        block(std::max<int64_t>(1, kBlockSamples / std::max<int64_t>(1, heads * round_up(a.levels * a.points, 4)))),
        samples(arguments, heads, block) {}

  void forward(const Task& task) {
    const V* values = static_cast<const V*>(a.value) + first_number(task);
    each_block(task, [&](int64_t first, int64_t queries) {
      V* output = static_cast<V*>(a.output);
      int sample = 0;
      for (int64_t q = first; q < first + queries; ++q)
        for (int64_t h = 0; h < task.heads; ++h, sample += samples.padded)
          gather(values + h * a.channels, sample, output + row_of(task, q, h) * a.channels);
    });
  }

  void backward(const Task& task) {
    const V* values = static_cast<const V*>(a.value) + first_number(task);
    T* gradients = static_cast<T*>(a.grad_value) + first_number(task);
    each_block(task, [&](int64_t first, int64_t queries) {
      const V* output_gradient = static_cast<const V*>(a.grad_output);
      int sample = 0;
      for (int64_t q = first; q < first + queries; ++q)
        for (int64_t h = 0; h < task.heads; ++h, sample += samples.padded)
          scatter(values + h * a.channels, gradients + h * a.channels, sample,
                  output_gradient + row_of(task, q, h) * a.channels);
      samples.differentiate();
      write_gradients(task, first, queries);
    });
  }

 private:
  int64_t first_number(const Task& task) const { return (task.image * a.tokens * a.heads + task.head) * a.channels; }

  // Place among (B, Q, M) of a query and the h-th head of a task.
  int64_t row_of(const Task& task, int64_t query, int64_t h) const {
    return (task.image * a.queries + query) * a.heads + task.head + h;
  }

  // Calls visit(first query, number of queries) for block after block, when the block's samples are in place.
  template <typename Visit>
  void each_block(const Task& task, Visit visit) {
    const int of_query = int(task.heads) * samples.padded;
    for (int64_t first = task.query; first < task.query + task.queries; first += block) {
      const int64_t queries = std::min(block, task.query + task.queries - first);
      for (int64_t q = 0; q < queries; ++q) read(task, first + q, int(q) * of_query);
      if (samples.fused) softmax<T>(samples.weight, int(queries) * of_query, samples.padded);
      samples.locate(Index<T>(a.heads * a.channels));
      visit(first, queries);
    }
  }

  // Read a query's positions and scores to the samples from `to` on.
  void read(const Task& task, int64_t query, int to) {
    int64_t from = row_of(task, query, 0) * samples.of_head;
    if (samples.fused) {
      const T* reference = static_cast<const T*>(a.reference) + 2 * query;
      const Four<T> x = reference[0] + Four<T>{}, y = reference[1] + Four<T>{};
      for (int s = to; s < to + int(task.heads) * samples.padded; s += 4) {
        store_four(samples.origin_x + s, coordinate(x, load_four(samples.width + s)));
        store_four(samples.origin_y + s, coordinate(y, load_four(samples.height + s)));
      }
    }
    // Where nothing is filled up, all heads are one run.
    const bool one_run = samples.padded == samples.of_head;
    const int64_t runs = one_run ? 1 : task.heads, length = samples.of_head * (one_run ? task.heads : 1);
    for (int64_t run = 0; run < runs; ++run, from += length, to += samples.padded) {
      read_sampling(a.positions, 2 * from, samples.positions + 2 * to, 2 * length);
      read_sampling(a.scores, from, samples.weight + to, length);
      if (samples.fused && !one_run)
        std::fill(samples.weight + to + length, samples.weight + to + samples.padded,
                  -std::numeric_limits<T>::infinity());
    }
  }

  // Positions and scores come in the type of the values or in the type of the sums.
  void read_sampling(const void* from, int64_t place, T* to, int64_t count) const {
    if (a.sampling_type == a.value_type) return copy(static_cast<const V*>(from) + place, to, count);
    copy(static_cast<const T*>(from) + place, to, count);
  }

  void write_sampling(const T* from, void* to, int64_t place, int64_t count) const {
    if (a.sampling_type == a.value_type) return copy(from, static_cast<V*>(to) + place, count);
    copy(from, static_cast<T*>(to) + place, count);
  }

  // Numbers of a row of channels from `from` on.
  template <typename N>
  Vector<T> numbers(const N* row, int64_t from) const {
    return load_as<T>(row + from, whole ? lanes : a.channels - from);
  }

  // Sum of the shares of a query's samples for one head, from `first` on.
  void gather(const V* values, int first, V* output) const {
    for (int64_t d = 0; d < a.channels; d += vectors * lanes) {
      const T* shares = samples.shares + 4 * first;
      Vector<T> sum[vectors] = {};
      for (int s = first; s < first + samples.of_head; ++s, shares += 4) {
        if (samples.corner[s] < 0) continue;
        const V *pixel0 = values + samples.corner[s], *pixel1 = pixel0 + samples.right[s],
                *pixel2 = pixel0 + samples.down[s], *pixel3 = pixel2 + samples.right[s];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          const int64_t from = d + v * lanes;
          sum[v] += (shares[0] * numbers(pixel0, from) + shares[1] * numbers(pixel1, from)) +
                    (shares[2] * numbers(pixel2, from) + shares[3] * numbers(pixel3, from));
        }
      }
      for (int v = 0; v < vectors; ++v)
        store_as<T>(output + d + v * lanes, sum[v], whole ? lanes : a.channels - d - v * lanes);
    }
  }

  // Add the shares of the output's gradient to the gradient of the values, and find the products of the two.
  void scatter(const V* values, T* gradients, int first, const V* output_gradient) {
    constexpr int together = lanes / 4;
    for (int64_t d = 0; d < a.channels; d += vectors * lanes) {
      const T* shares = samples.shares + 4 * first;
      T* found = samples.products + 4 * first;
      Vector<T> g[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) g[v] = numbers(output_gradient, d + v * lanes);
      for (int s = first; s < first + samples.padded; s += together, found += lanes) {
        Vector<T> products[lanes];
#pragma GCC unroll 4
        for (int i = 0; i < together; ++i, shares += 4) {
          const Index<T> place = samples.corner[s + i], right = samples.right[s + i], down = samples.down[s + i];
#pragma GCC unroll 4
          for (int corner = 0; corner < 4; ++corner) {
            Vector<T>& product = products[i + corner * together];
            product = Vector<T>{};
            if (place < 0) continue;
            const int64_t pixel_place = int64_t(place) + (corner & 1 ? right : 0) + (corner & 2 ? down : 0);
            const V* pixel = values + pixel_place;
            T* gradient = gradients + pixel_place;
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
              const int64_t from = d + v * lanes;
              product += g[v] * numbers(pixel, from);
              store_as<T>(gradient + from, numbers(gradient, from) + shares[corner] * g[v],
                          whole ? lanes : a.channels - from);
            }
          }
        }
        const Vector<T> sums = sums_of<T>(products);
        store(found, d ? load(found) + sums : sums);
      }
    }
  }

  void write_gradients(const Task& task, int64_t first, int64_t queries) {
    int from = 0;
    for (int64_t q = first; q < first + queries; ++q)
      for (int64_t h = 0; h < task.heads; ++h, from += samples.padded) {
        const int64_t to = row_of(task, q, h) * samples.of_head;
        T* weights = samples.grad_weight + from;
        if (samples.fused) logit_gradients(samples.weight + from, weights);
        write_sampling(samples.grad_positions + 2 * from, a.grad_positions, 2 * to, 2 * samples.of_head);
        write_sampling(weights, a.grad_scores, to, samples.of_head);
      }
  }

  // Gradients of one head's weights, in place, to those of its logits.
  void logit_gradients(const T* weights, T* gradients) const {
    Four<T> products = {};
    for (int s = 0; s < samples.padded; s += 4) products += load_four(weights + s) * load_four(gradients + s);
    const Four<T> mean = total(products) + Four<T>{};
    for (int s = 0; s < samples.padded; s += 4)
      store_four(gradients + s, logit_gradient(load_four(weights + s), load_four(gradients + s), mean));
  }

  const Arguments& a;
  const int64_t block;  // queries
  Samples<T> samples;
};

// All tasks on as many threads as asked for; each takes the next task when it is through with one.
template <typename Kernel>
void run(const Arguments& a, bool backward) {
  if (a.images * a.queries * a.heads == 0) return;
  // A task is some queries of an image in the forward pass, some of its heads in the backward pass.
  const int64_t of_query = std::max<int64_t>(1, a.heads * a.levels * a.points);
  const int64_t queries = backward ? a.queries : std::max<int64_t>(1, kTaskSamples / of_query);
  const int64_t heads = backward ? std::clamp<int64_t>(a.images * a.heads / a.threads, 1, a.heads) : a.heads;
  const int64_t rows = (a.queries + queries - 1) / queries, columns = (a.heads + heads - 1) / heads;
  const int64_t tasks = a.images * rows * columns;
  std::atomic<int64_t> next{0}, done{0};
#pragma omp parallel num_threads(int(std::min(a.threads, tasks)))
  try {
    Kernel kernel(a, heads);
    for (int64_t task; (task = next++) < tasks; ++done) {
      const int64_t query = task / columns % rows * queries, head = task % columns * heads;
      const Task part{task / columns / rows, query, std::min(queries, a.queries - query), head,
                      std::min(heads, a.heads - head)};
      backward ? kernel.backward(part) : kernel.forward(part);
    }
  } catch (const std::bad_alloc&) {
    // Other threads may still do it all; an exception must not leave a parallel region.
  }
  if (done < tasks) throw std::bad_alloc();
}

}  // namespace
}  // namespace prolab
