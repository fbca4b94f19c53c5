// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/resize_kernels.h"

#include <algorithm>
#include <array>

// The scalable ones (SVE, RISC-V) would break the assumption that 128-bit blocks pack in place.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#define HWY_WANT_AVX3_DL
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "pomona/image/resize_kernels.cc"
#include <hwy/foreach_target.h>

#include <hwy/highway.h>

// Highway asks the CPU for AVX-512 VNNI before it chooses this target, but 1.0.3 does not tell the compiler.
#if HWY_TARGET == HWY_AVX3_DL && HWY_MAJOR == 1 && HWY_MINOR == 0 && HWY_PATCH <= 3
#undef HWY_TARGET_STR
#define HWY_TARGET_STR                  \
  HWY_TARGET_STR_AVX3                   \
  ",vpclmulqdq,avx512vbmi,avx512vbmi2," \
  "vaes,avxvnni,avx512bitalg,avx512vpopcntdq,avx512vnni"
#endif

HWY_BEFORE_NAMESPACE();
namespace pomona::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

// For processors without SSSE3: plain coefficients, one byte at a time.
std::uint8_t weigh(const std::uint8_t* in, std::size_t step, int last, const std::int32_t* words, int count) {
  std::int32_t sum = 1 << (kPrecisionBits - 1);
  for (int tap = 0; tap < count; ++tap)
    sum += in[static_cast<std::size_t>(std::min(tap, last)) * step] * words[tap];
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

void ResizeRows(const std::uint8_t* in, std::size_t in_stride, int rows, const TapTable& taps,
                std::uint8_t* out, std::size_t out_stride) {
  const int count = taps.chunks * 4;
  for (int row = 0; row < rows; ++row, in += in_stride, out += out_stride) {
    for (std::size_t x = 0; x < static_cast<std::size_t>(taps.outputs); ++x) {
      const std::int32_t* words = taps.words.data() + x * static_cast<std::size_t>(count);
      int used = count;
      while (used > 1 && words[used - 1] == 0) --used;
      const std::uint8_t* from = in + static_cast<std::size_t>(taps.first[x]) * 3;
      for (std::size_t c = 0; c < 3; ++c) out[x * 3 + c] = weigh(from + c, 3, used - 1, words, used);
    }
  }
}

void ResizeColumns(const std::uint8_t* in, std::size_t in_stride, int in_begin, int in_end,
                   std::size_t row_bytes, const TapTable& taps, std::uint8_t* out, std::size_t out_stride) {
  const int count = taps.chunks * 4;
  for (std::size_t y = 0; y < static_cast<std::size_t>(taps.outputs); ++y, out += out_stride) {
    const int first = taps.first[y] - in_begin;
    const int last = in_end - in_begin - 1 - first;
    const std::uint8_t* from = in + static_cast<std::size_t>(first) * in_stride;
    const std::int32_t* words = taps.words.data() + y * static_cast<std::size_t>(count);
    for (std::size_t x = 0; x < row_bytes; ++x) out[x] = weigh(from + x, in_stride, last, words, count);
  }
}

void PackChunk(const std::int32_t* coefficients, std::int32_t* words) {
  std::copy_n(coefficients, 4, words);
}

#else

using D8 = hn::ScalableTag<std::uint8_t>;
using D16 = hn::Repartition<std::int16_t, D8>;
using DU16 = hn::Repartition<std::uint16_t, D8>;
using D32 = hn::Repartition<std::int32_t, D8>;
using V8 = hn::Vec<D8>;
using V16 = hn::Vec<D16>;
using V32 = hn::Vec<D32>;

constexpr D8 kD8;
constexpr D16 kD16;
constexpr DU16 kDU16;
constexpr D32 kD32;
constexpr std::size_t kBytes = HWY_LANES(std::uint8_t);
constexpr std::size_t kBlocks = kBytes / 16;

// 32-bit lanes of two vectors to 16 bits, then two of those to bytes, both saturating, within 128-bit blocks.
HWY_INLINE V16 pack16(V32 a, V32 b) {
  return hn::ReorderDemote2To(kD16, a, b);
}
HWY_INLINE V8 pack8(V16 a, V16 b) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  return V8{_mm512_packus_epi16(a.raw, b.raw)};
#elif HWY_TARGET == HWY_AVX2
  return V8{_mm256_packus_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86
  return V8{_mm_packus_epi16(a.raw, b.raw)};
#else
  const hn::Half<D8> half;
  return hn::Combine(kD8, hn::DemoteTo(half, b), hn::DemoteTo(half, a));
#endif
}

#if HWY_TARGET == HWY_AVX3_DL

// Byte dot products: a coefficient is three signed digits to the base 256, each multiplied with four pixels
// at once into its own sum. All sums are exact modulo 2^32, which is all that the result depends on.
constexpr bool kDigits = true;

struct Sums {
  V32 low, middle, high;
};
struct Weights {
  V32 low, middle, high;
};

HWY_INLINE Weights load_weights(const std::int32_t* words) {
  return {hn::Set(kD32, words[0]), hn::Set(kD32, words[1]), hn::Set(kD32, words[2])};
}

HWY_INLINE Sums zero_sums() {
  // Half a unit of the last place, in units of the highest digit.
  return {hn::Zero(kD32), hn::Zero(kD32), hn::Set(kD32, 1 << (kPrecisionBits - 1 - 16))};
}

HWY_INLINE V32 dot(V32 sum, V8 pixels, V32 weights) {
  return V32{_mm512_dpbusd_epi32(sum.raw, pixels.raw, weights.raw)};
}

HWY_INLINE void accumulate(Sums& sums, V8 pixels, const Weights& weights) {
  sums.low = dot(sums.low, pixels, weights.low);
  sums.middle = dot(sums.middle, pixels, weights.middle);
  sums.high = dot(sums.high, pixels, weights.high);
}

HWY_INLINE V32 total(const Sums& sums) {
  const V32 upper = hn::Add(hn::ShiftLeft<8>(sums.high), sums.middle);
  return hn::ShiftRight<kPrecisionBits>(hn::Add(hn::ShiftLeft<8>(upper), sums.low));
}

// One chunk is all there is: the digits' sums feed one another.
HWY_INLINE V32 single(V8 pixels, const Weights& weights) {
  V32 sum = dot(hn::Set(kD32, 1 << (kPrecisionBits - 1 - 16)), pixels, weights.high);
  sum = dot(hn::ShiftLeft<8>(sum), pixels, weights.middle);
  sum = dot(hn::ShiftLeft<8>(sum), pixels, weights.low);
  return hn::ShiftRight<kPrecisionBits>(sum);
}

#else

// Pairs of 16-bit products: a coefficient is a high part and 12 signed low bits.
constexpr bool kDigits = false;

struct Sums {
  V32 low, high;
};
struct Weights {
  V16 high_even, high_odd, low_even, low_odd;
};

HWY_INLINE Weights load_weights(const std::int32_t* words) {
  return {hn::BitCast(kD16, hn::Set(kD32, words[0])), hn::BitCast(kD16, hn::Set(kD32, words[1])),
          hn::BitCast(kD16, hn::Set(kD32, words[2])), hn::BitCast(kD16, hn::Set(kD32, words[3]))};
}

HWY_INLINE Sums zero_sums() {
  return {hn::Set(kD32, 1 << (kPrecisionBits - 1)), hn::Zero(kD32)};
}

// Per 32-bit lane: the sum of the products of both 16-bit halves.
HWY_INLINE V32 dot(V32 sum, V16 pixels, V16 weights) {
#if HWY_ARCH_X86
  V32 unused = hn::Zero(kD32);
  return hn::ReorderWidenMulAccumulate(kD32, pixels, weights, sum, unused);
#else
  const V32 p = hn::BitCast(kD32, pixels);
  const V32 w = hn::BitCast(kD32, weights);
  const V32 even =
      hn::Mul(hn::ShiftRight<16>(hn::ShiftLeft<16>(p)), hn::ShiftRight<16>(hn::ShiftLeft<16>(w)));
  return hn::Add(sum, hn::Add(even, hn::Mul(hn::ShiftRight<16>(p), hn::ShiftRight<16>(w))));
#endif
}

HWY_INLINE void accumulate(Sums& sums, V8 pixels, const Weights& weights) {
  const auto lanes = hn::BitCast(kDU16, pixels);
  const V16 even = hn::BitCast(kD16, hn::And(lanes, hn::Set(kDU16, 0x00FF)));
  const V16 odd = hn::BitCast(kD16, hn::ShiftRight<8>(lanes));
  sums.high = dot(dot(sums.high, even, weights.high_even), odd, weights.high_odd);
  sums.low = dot(dot(sums.low, even, weights.low_even), odd, weights.low_odd);
}

HWY_INLINE V32 total(const Sums& sums) {
  return hn::ShiftRight<kPrecisionBits>(hn::Add(hn::ShiftLeft<12>(sums.high), sums.low));
}

HWY_INLINE V32 single(V8 pixels, const Weights& weights) {
  Sums sums = zero_sums();
  accumulate(sums, pixels, weights);
  return total(sums);
}

#endif

// 16 bytes of each of the rows, one row per 128-bit block.
HWY_INLINE V8 load_rows(const std::uint8_t* in, [[maybe_unused]] std::size_t stride) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  const auto block = [&](std::size_t row) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + row * stride));
  };
  __m512i rows = _mm512_castsi128_si512(block(0));
  rows = _mm512_inserti32x4(rows, block(1), 1);
  rows = _mm512_inserti32x4(rows, block(2), 2);
  return V8{_mm512_inserti32x4(rows, block(3), 3)};
#elif HWY_TARGET == HWY_AVX2
  const hn::Half<D8> half;
  return hn::Combine(kD8, hn::LoadU(half, in + stride), hn::LoadU(half, in));
#else
  return hn::LoadU(kD8, in);
#endif
}

HWY_INLINE void store_rows(V8 rows, std::uint8_t* out, [[maybe_unused]] std::size_t stride) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  const auto block = [&](std::size_t row, __m128i bytes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + row * stride), bytes);
  };
  block(0, _mm512_castsi512_si128(rows.raw));
  block(1, _mm512_extracti32x4_epi32(rows.raw, 1));
  block(2, _mm512_extracti32x4_epi32(rows.raw, 2));
  block(3, _mm512_extracti32x4_epi32(rows.raw, 3));
#elif HWY_TARGET == HWY_AVX2
  const hn::Half<D8> half;
  hn::StoreU(hn::LowerHalf(half, rows), half, out);
  hn::StoreU(hn::UpperHalf(half, rows), half, out + stride);
#else
  hn::StoreU(rows, kD8, out);
#endif
}

// RGBRGBRGBRGB.... to RRRRGGGGBBBB...., a 32-bit lane per channel; 0x80 gives zero.
alignas(16) constexpr std::array<std::uint8_t, 16> kGroupChannels = {0, 3, 6, 9,  1,    4,    7,    10,
                                                                     2, 5, 8, 11, 0x80, 0x80, 0x80, 0x80};
// RGB0RGB0RGB0RGB0 to RGBRGBRGBRGB....
alignas(16) constexpr std::array<std::uint8_t, 16> kDropFourth = {0,  1,  2,  4,  5,    6,    8,    9,
                                                                  10, 12, 13, 14, 0x80, 0x80, 0x80, 0x80};

template <bool kSingle>
HWY_INLINE V32 output_pixel(const std::uint8_t* in, std::size_t stride, const TapTable& taps,
                            std::size_t output, V8 group_channels) {
  const std::uint8_t* from = in + static_cast<std::size_t>(taps.first[output]) * 3;
  const std::int32_t* words = taps.words.data() + output * static_cast<std::size_t>(taps.chunks) * 4;
  if constexpr (kSingle) {
    return single(hn::TableLookupBytesOr0(load_rows(from, stride), group_channels), load_weights(words));
  } else {
    Sums sums = zero_sums();
    const int used = taps.used[output];
    for (int chunk = 0; chunk < used; ++chunk, from += 12, words += 4) {
      accumulate(sums, hn::TableLookupBytesOr0(load_rows(from, stride), group_channels), load_weights(words));
    }
    return total(sums);
  }
}

template <bool kSingle>
void resize_rows_as(const std::uint8_t* in, std::size_t in_stride, int rows, const TapTable& taps,
                    std::uint8_t* out, std::size_t out_stride) {
  const V8 group_channels = hn::LoadDup128(kD8, kGroupChannels.data());
  const V8 drop_fourth = hn::LoadDup128(kD8, kDropFourth.data());
  const auto outputs = static_cast<std::size_t>(taps.outputs);
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); row += kBlocks) {
    const std::uint8_t* from = in + row * in_stride;
    std::uint8_t* to = out + row * out_stride;
    for (std::size_t x = 0; x < outputs; x += 4) {
      const V32 a = output_pixel<kSingle>(from, in_stride, taps, x, group_channels);
      const V32 b = output_pixel<kSingle>(from, in_stride, taps, x + 1, group_channels);
      const V32 c = output_pixel<kSingle>(from, in_stride, taps, x + 2, group_channels);
      const V32 d = output_pixel<kSingle>(from, in_stride, taps, x + 3, group_channels);
      const V8 pixels = pack8(pack16(a, b), pack16(c, d));
      store_rows(hn::TableLookupBytesOr0(pixels, drop_fourth), to + x * 3, out_stride);
    }
  }
}

void ResizeRows(const std::uint8_t* in, std::size_t in_stride, int rows, const TapTable& taps,
                std::uint8_t* out, std::size_t out_stride) {
  if (taps.chunks == 1) {
    resize_rows_as<true>(in, in_stride, rows, taps, out, out_stride);
  } else {
    resize_rows_as<false>(in, in_stride, rows, taps, out, out_stride);
  }
}

// Four rows' bytes, interleaved so that a 32-bit lane holds one column; in the order that packing undoes.
struct Columns {
  V8 a, b, c, d;
};

HWY_INLINE Columns interleave(V8 r0, V8 r1, V8 r2, V8 r3) {
  const auto low01 = hn::BitCast(kDU16, hn::InterleaveLower(kD8, r0, r1));
  const auto high01 = hn::BitCast(kDU16, hn::InterleaveUpper(kD8, r0, r1));
  const auto low23 = hn::BitCast(kDU16, hn::InterleaveLower(kD8, r2, r3));
  const auto high23 = hn::BitCast(kDU16, hn::InterleaveUpper(kD8, r2, r3));
  return {hn::BitCast(kD8, hn::InterleaveLower(kDU16, low01, low23)),
          hn::BitCast(kD8, hn::InterleaveUpper(kDU16, low01, low23)),
          hn::BitCast(kD8, hn::InterleaveLower(kDU16, high01, high23)),
          hn::BitCast(kD8, hn::InterleaveUpper(kDU16, high01, high23))};
}

// The chunk's four rows; those behind the last weigh nothing and may be any.
HWY_INLINE Columns load_columns(const std::uint8_t* in, std::size_t stride, int row, int last,
                                std::size_t at) {
  const auto from = [&](int offset) {
    return hn::LoadU(kD8, in + static_cast<std::size_t>(std::min(row + offset, last)) * stride + at);
  };
  return interleave(from(0), from(1), from(2), from(3));
}

void ResizeColumns(const std::uint8_t* in, std::size_t in_stride, int in_begin, int in_end,
                   std::size_t row_bytes, const TapTable& taps, std::uint8_t* out, std::size_t out_stride) {
  const auto outputs = static_cast<std::size_t>(taps.outputs);
  const int last = in_end - in_begin - 1;
  for (std::size_t y = 0; y < outputs;) {
    const int first = taps.first[y] - in_begin;
    const std::int32_t* words = taps.words.data() + y * static_cast<std::size_t>(taps.chunks) * 4;
    const int used = taps.used[y];
    std::uint8_t* to = out + y * out_stride;
    // When enlarging, neighbouring output rows come from the same source rows: load those once.
    const bool pair = taps.chunks == 1 && y + 1 < outputs && taps.first[y + 1] == taps.first[y];
    for (std::size_t at = 0; at < row_bytes; at += kBytes) {
      // The last vector overlaps the one before rather than leaving the row.
      if (at + kBytes > row_bytes && row_bytes >= kBytes) at = row_bytes - kBytes;
      if (taps.chunks == 1) {
        const Columns columns = load_columns(in, in_stride, first, last, at);
        const Weights weights = load_weights(words);
        hn::StoreU(pack8(pack16(single(columns.a, weights), single(columns.b, weights)),
                         pack16(single(columns.c, weights), single(columns.d, weights))),
                   kD8, to + at);
        if (!pair) continue;
        const Weights next = load_weights(words + 4);
        hn::StoreU(pack8(pack16(single(columns.a, next), single(columns.b, next)),
                         pack16(single(columns.c, next), single(columns.d, next))),
                   kD8, to + out_stride + at);
        continue;
      }
      Sums a = zero_sums();
      Sums b = zero_sums();
      Sums c = zero_sums();
      Sums d = zero_sums();
      for (int chunk = 0; chunk < used; ++chunk) {
        const Columns columns = load_columns(in, in_stride, first + 4 * chunk, last, at);
        const Weights weights = load_weights(words + 4 * chunk);
        accumulate(a, columns.a, weights);
        accumulate(b, columns.b, weights);
        accumulate(c, columns.c, weights);
        accumulate(d, columns.d, weights);
      }
      hn::StoreU(pack8(pack16(total(a), total(b)), pack16(total(c), total(d))), kD8, to + at);
    }
    y += pair ? 2 : 1;
  }
}

void PackChunk(const std::int32_t* coefficients, std::int32_t* words) {
  std::array<std::uint32_t, 4> packed{};
  for (unsigned tap = 0; tap < 4; ++tap) {
    std::int32_t rest = coefficients[tap];
    if constexpr (kDigits) {
      for (std::uint32_t& word : packed) {
        if (&word == &packed[3]) break;
        const auto digit = static_cast<std::int8_t>(rest & 0xFF);
        word |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(digit)) << (8 * tap);
        rest = (rest - digit) / 256;
      }
    } else {
      const std::int32_t low = ((rest + 2048) & 4095) - 2048;
      const std::int32_t high = (rest - low) / 4096;
      const unsigned shift = tap >= 2 ? 16 : 0;
      packed[tap & 1] |= static_cast<std::uint32_t>(static_cast<std::uint16_t>(high)) << shift;
      packed[2 + (tap & 1)] |= static_cast<std::uint32_t>(static_cast<std::uint16_t>(low)) << shift;
    }
  }
  for (std::size_t i = 0; i < 4; ++i) words[i] = static_cast<std::int32_t>(packed[i]);
}

#endif  // scalar

}  // namespace pomona::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pomona::kernels {

HWY_EXPORT(PackChunk);
HWY_EXPORT(ResizeRows);
HWY_EXPORT(ResizeColumns);

void pack_chunk(const std::int32_t* coefficients, std::int32_t* words) {
  HWY_DYNAMIC_DISPATCH(PackChunk)(coefficients, words);
}

void resize_rows(const std::uint8_t* in, std::size_t in_stride, int rows, const TapTable& taps,
                 std::uint8_t* out, std::size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(ResizeRows)(in, in_stride, rows, taps, out, out_stride);
}

void resize_columns(const std::uint8_t* in, std::size_t in_stride, int in_begin, int in_end,
                    std::size_t row_bytes, const TapTable& taps, std::uint8_t* out, std::size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(ResizeColumns)(in, in_stride, in_begin, in_end, row_bytes, taps, out, out_stride);
}

}  // namespace pomona::kernels
#endif
