// Runs the CPU's kernels on random problems of every type, odd shapes and extreme positions, to be compiled with a
// sanitizer: everything lies in memory of exactly its size.
#include "cpu.cpp"

#include <cmath>
#include <cstdio>
#include <random>

namespace {

using prolab::Arguments;
using prolab::NumberType;

std::mt19937 random_bits(0);

int64_t pick(int64_t least, int64_t most) { return std::uniform_int_distribution<int64_t>(least, most)(random_bits); }

float pick_number(float spread) {
  const float extremes[] = {0.0f, 1.0f, -1.0f, 1e9f, -1e30f, NAN, INFINITY, -INFINITY};
  return pick(0, 15) ? std::normal_distribution<float>(0.0f, spread)(random_bits) : extremes[pick(0, 7)];
}

int64_t bytes_of(NumberType type) { return type == prolab::kFloat64 ? 8 : type == prolab::kFloat32 ? 4 : 2; }

// Memory of so many numbers, random or zero.
std::unique_ptr<char[]> make(NumberType type, int64_t count, float spread) {
  std::unique_ptr<char[]> memory(new char[count * bytes_of(type)]());
  for (int64_t i = 0; spread > 0 && i < count; ++i) {
    const float number = pick_number(spread);
    char* to = memory.get() + i * bytes_of(type);
    if (type == prolab::kFloat64) {
      const double wide = number;
      std::memcpy(to, &wide, sizeof(wide));
    } else if (type == prolab::kFloat32) {
      std::memcpy(to, &number, sizeof(number));
    } else if (type == prolab::kBFloat16) {
      prolab::narrow(number, *reinterpret_cast<prolab::bfloat16*>(to));
    } else {
      prolab::narrow(number, *reinterpret_cast<prolab::float16*>(to));
    }
  }
  return memory;
}

void run_one(int round) {
  Arguments a{};
  a.value_type = NumberType(round % 4);
  const NumberType sums = a.value_type == prolab::kFloat64 ? prolab::kFloat64 : prolab::kFloat32;
  a.sampling_type = pick(0, 1) ? a.value_type : sums;
  a.images = pick(0, 3);
  a.queries = pick(0, 40);
  a.heads = pick(1, 5);
  a.channels = pick(1, 70);
  a.levels = pick(1, 5);
  a.points = pick(0, 5);
  a.threads = pick(1, 3);
  int64_t sizes[10];
  for (int l = 0; l < a.levels; ++l) {
    sizes[2 * l] = pick(1, 9);
    sizes[2 * l + 1] = pick(1, 9);
    a.tokens += sizes[2 * l] * sizes[2 * l + 1];
  }
  a.sizes = sizes;
  const bool fused = pick(0, 1);
  const int64_t rows = a.images * a.queries * a.heads, samples = rows * a.levels * a.points;
  const int64_t numbers = a.images * a.tokens * a.heads * a.channels;
  const auto value = make(a.value_type, numbers, 1), reference = make(sums, 2 * a.queries, 0.5f);
  const auto positions = make(a.sampling_type, 2 * samples, 2), scores = make(a.sampling_type, samples, 3);
  const auto grad_output = make(a.value_type, rows * a.channels, 1);
  const auto output = make(a.value_type, rows * a.channels, 0), grad_value = make(sums, numbers, 0);
  const auto grad_positions = make(a.sampling_type, 2 * samples, 0), grad_scores = make(a.sampling_type, samples, 0);
  a.value = value.get();
  a.reference = fused ? reference.get() : nullptr;
  a.positions = positions.get();
  a.scores = scores.get();
  a.grad_output = grad_output.get();
  a.output = output.get();
  a.grad_value = grad_value.get();
  a.grad_positions = grad_positions.get();
  a.grad_scores = grad_scores.get();
  if (prolab::run_value_type(a, false) || prolab::run_value_type(a, true)) std::exit(1);
}

}  // namespace

int main() {
  constexpr int kRounds = 400;
  for (int round = 0; round < kRounds; ++round) run_one(round);
  std::printf("%d problems\n", kRounds);
}
