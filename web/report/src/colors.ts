// SPDX-License-Identifier: Apache-2.0
// Colours for groups. Up to eight: Okabe and Ito's set, made for colour-blind readers (jfly.uni-koeln.de/color).
// More than eight cannot be told apart by colour alone: hues then go round with changing lightness, names come
// on hover, and up to eight groups that the reader picks get the eight safe colours while the rest turns grey.

export type Rgb = [number, number, number];

const safeLight: Rgb[] = [[0, 114, 178], [230, 159, 0], [0, 158, 115], [213, 94, 0], [204, 121, 167],
  [86, 180, 233], [70, 70, 70], [150, 120, 0]];
const safeDark: Rgb[] = [[60, 150, 220], [240, 175, 40], [30, 190, 145], [235, 120, 40], [220, 145, 190],
  [120, 205, 250], [235, 235, 235], [240, 228, 66]];

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
export const SAFE = 8;
export const safe = (i: number): Rgb => (isDark() ? safeDark : safeLight)[i % SAFE];

// OKLCH -> sRGB (Ottosson, bottosson.github.io/posts/oklab).
function oklch(l: number, c: number, hue: number): Rgb {
  const a = c * Math.cos(hue), b = c * Math.sin(hue);
  const l3 = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m3 = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s3 = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [4.0767416621 * l3 - 3.3077115913 * m3 + 0.2309699292 * s3,
    -1.2684380046 * l3 + 2.6097574011 * m3 - 0.3413193965 * s3,
    -0.0041960863 * l3 - 0.7034186147 * m3 + 1.707614701 * s3];
  return linear.map((x) => {
    const y = Math.min(1, Math.max(0, x));
    return Math.round(255 * (y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055));
  }) as Rgb;
}

export function palette(n: number): Rgb[] {
  if (n <= SAFE) return Array.from({ length: n }, (_, i) => safe(i));
  const steps = isDark() ? [0.66, 0.8, 0.58] : [0.58, 0.72, 0.46];
  // The golden angle keeps neighbours in the list apart in hue.
  return Array.from({ length: n }, (_, i) => oklch(steps[i % 3], 0.15, i * 2.399963 + 0.6));
}

export const css = (c: Rgb, alpha = 1) => `rgb(${c[0]} ${c[1]} ${c[2]} / ${alpha})`;

// A colour of the style sheet.
export const variable = (name: string) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function onSchemeChange(run: () => void) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", run);
}
