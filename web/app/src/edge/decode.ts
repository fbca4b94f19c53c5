// SPDX-License-Identifier: Apache-2.0
// From an encoded photo to RGB, by the browser's own decoders. Colour profiles are not applied and transparency is
// dropped, as in the engine.

import type { Picture } from "./resize";

const kMostPixels = 16_000_000; // of a canvas on phones

// Throws where the browser cannot read the photo.
export async function decode(photo: Blob, exif: boolean): Promise<Picture> {
  const options: ImageBitmapOptions = {
    imageOrientation: exif ? "from-image" : "none",
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  };
  let bitmap = await createImageBitmap(photo, options);
  if (bitmap.width * bitmap.height > kMostPixels) {
    const scale = Math.sqrt(kMostPixels / (bitmap.width * bitmap.height));
    const whole = bitmap;
    bitmap = await createImageBitmap(whole, {
      resizeWidth: Math.floor(whole.width * scale),
      resizeHeight: Math.floor(whole.height * scale),
      resizeQuality: "high",
    });
    whole.close();
  }
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return { width, height, rgb };
}
