// SPDX-License-Identifier: Apache-2.0
// Pillow's resampling (src/libImaging/Resample.c), to the bit: 22-bit fixed-point weights, 8 bits between the two
// passes, the vertical pass first where the height shrinks by more than twice as many pixels as the width. The
// engine's own resize (src/pomona/image/resize.cc) does the same.

export type Kernel = "bicubic" | "bilinear" | "nearest";
export type Fit = "squash" | "crop" | "pad";

// Row-major RGB, three bytes a pixel.
export interface Picture {
  width: number;
  height: number;
  rgb: Uint8Array;
}

const kBits = 22;

function bicubic(x: number): number {
  x = Math.abs(x);
  if (x < 1) return ((-0.5 + 2) * x - (-0.5 + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

function bilinear(x: number): number {
  x = Math.abs(x);
  return x < 1 ? 1 - x : 0;
}

interface Taps {
  first: Int32Array;
  count: Int32Array;
  weights: Int32Array; // `most` per output
  most: number;
}

// `out` pixels from [begin, end) of `size` pixels.
function makeTaps(size: number, begin: number, end: number, out: number, kernel: Kernel): Taps {
  const filter = kernel === "bicubic" ? bicubic : bilinear;
  const scale = Math.fround(end - begin) / out;
  const filterScale = Math.max(scale, 1);
  const support = (kernel === "bicubic" ? 2 : 1) * filterScale;
  const inverse = 1 / filterScale;
  const most = Math.ceil(support) * 2 + 1;
  const taps: Taps = { first: new Int32Array(out), count: new Int32Array(out), weights: new Int32Array(out * most), most };
  const row = new Float64Array(most);
  for (let i = 0; i < out; ++i) {
    const centre = begin + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(size, Math.trunc(centre + support + 0.5)) - first;
    let sum = 0;
    for (let k = 0; k < count; ++k) sum += row[k] = filter((k + first - centre + 0.5) * inverse);
    for (let k = 0; k < count; ++k) {
      const weight = sum !== 0 ? row[k] / sum : row[k];
      taps.weights[i * most + k] = Math.trunc((weight < 0 ? -0.5 : 0.5) + weight * (1 << kBits));
    }
    taps.first[i] = first;
    taps.count[i] = count;
  }
  return taps;
}

const half = 1 << (kBits - 1);

function horizontal(source: Picture, taps: Taps, width: number): Picture {
  const out = new Uint8ClampedArray(width * source.height * 3);
  for (let y = 0; y < source.height; ++y) {
    const row = y * source.width * 3;
    for (let x = 0; x < width; ++x) {
      let r = half, g = half, b = half;
      let from = row + taps.first[x] * 3;
      const end = x * taps.most + taps.count[x];
      for (let k = x * taps.most; k < end; ++k, from += 3) {
        const weight = taps.weights[k];
        r += source.rgb[from] * weight;
        g += source.rgb[from + 1] * weight;
        b += source.rgb[from + 2] * weight;
      }
      const at = (y * width + x) * 3;
      out[at] = r >> kBits;
      out[at + 1] = g >> kBits;
      out[at + 2] = b >> kBits;
    }
  }
  return { width, height: source.height, rgb: new Uint8Array(out.buffer) };
}

function vertical(source: Picture, taps: Taps, height: number): Picture {
  const stride = source.width * 3;
  const out = new Uint8ClampedArray(stride * height);
  const sums = new Int32Array(stride);
  for (let y = 0; y < height; ++y) {
    sums.fill(half);
    for (let k = 0; k < taps.count[y]; ++k) {
      const weight = taps.weights[y * taps.most + k];
      const row = (taps.first[y] + k) * stride;
      for (let x = 0; x < stride; ++x) sums[x] += source.rgb[row + x] * weight;
    }
    for (let x = 0; x < stride; ++x) out[y * stride + x] = sums[x] >> kBits;
  }
  return { width: source.width, height, rgb: new Uint8Array(out.buffer) };
}

// Source positions of nearest-neighbour samples, summed up step by step as Pillow does; -1 is outside.
function nearestPositions(size: number, begin: number, end: number, out: number): Int32Array {
  const step = Math.fround(end - begin) / out;
  const positions = new Int32Array(out);
  let at = begin + step * 0.5;
  for (let i = 0; i < out; ++i, at += step) positions[i] = at < 0 || at >= size ? -1 : Math.trunc(at);
  return positions;
}

function nearest(source: Picture, columns: Int32Array, rows: Int32Array): Picture {
  const rgb = new Uint8Array(columns.length * rows.length * 3);
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      if (row >= 0 && column >= 0) {
        const from = (row * source.width + column) * 3;
        rgb[to] = source.rgb[from];
        rgb[to + 1] = source.rgb[from + 1];
        rgb[to + 2] = source.rgb[from + 2];
      }
      to += 3;
    }
  }
  return { width: columns.length, height: rows.length, rgb };
}

// Pillow's Image.resize(size, kernel, box); it keeps the box in single precision.
function resizeBox(source: Picture, left: number, top: number, right: number, bottom: number, width: number, height: number,
                   kernel: Kernel): Picture {
  [left, top, right, bottom] = [left, top, right, bottom].map(Math.fround);
  const same = (size: number, begin: number, end: number, out: number) => size === out && begin === 0 && end === out;
  const across = !same(source.width, left, right, width);
  const down = !same(source.height, top, bottom, height);
  if (!across && !down) return source;
  if (kernel === "nearest") {
    return nearest(source, nearestPositions(source.width, left, right, width), nearestPositions(source.height, top, bottom, height));
  }
  const squeeze = (picture: Picture) =>
    down ? vertical(picture, makeTaps(source.height, top, bottom, height, kernel), height) : picture;
  const narrow = (picture: Picture) =>
    across ? horizontal(picture, makeTaps(source.width, left, right, width, kernel), width) : picture;
  const verticalFirst = source.height - height > 2 * Math.max(0, source.width - width);
  return verticalFirst ? narrow(squeeze(source)) : squeeze(narrow(source));
}

// Python's round: halves go to the even neighbour.
function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}

// The picture at width x height: stretched, cut from the middle (ImageOps.fit) or centred on black (ImageOps.pad).
export function resize(source: Picture, width: number, height: number, kernel: Kernel, fit: Fit): Picture {
  const have = source.width / source.height;
  const want = width / height;
  if (fit === "squash" || have === want) return resizeBox(source, 0, 0, source.width, source.height, width, height, kernel);
  if (fit === "crop") {
    const keepWidth = have >= want ? want * source.height : source.width;
    const keepHeight = have >= want ? source.height : source.width / want;
    const left = (source.width - keepWidth) * 0.5;
    const top = (source.height - keepHeight) * 0.5;
    return resizeBox(source, left, top, left + keepWidth, top + keepHeight, width, height, kernel);
  }
  const inner = have > want ? { width, height: roundEven(source.height / source.width * width) }
    : { width: roundEven(source.width / source.height * height), height };
  const rgb = new Uint8Array(width * height * 3);
  if (inner.width === 0 || inner.height === 0) return { width, height, rgb };
  const small = resizeBox(source, 0, 0, source.width, source.height, inner.width, inner.height, kernel);
  const left = roundEven((width - small.width) * 0.5);
  const top = roundEven((height - small.height) * 0.5);
  for (let y = 0; y < small.height; ++y) {
    rgb.set(small.rgb.subarray(y * small.width * 3, (y + 1) * small.width * 3), ((top + y) * width + left) * 3);
  }
  return { width, height, rgb };
}
