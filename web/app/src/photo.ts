// SPDX-License-Identifier: Apache-2.0
// What happens to a photo before it leaves the device: place, time and camera are taken out, and a photo far
// larger than any network looks at is made smaller.

const kLongest = 1600; // pixels; networks look at 224

// The orientation that a JPEG's EXIF states, 1 to 8.
function orientation(exif: Uint8Array): number {
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  try {
    const little = view.getUint16(6) === 0x4949;
    const directory = 6 + view.getUint32(10, little);
    const count = view.getUint16(directory, little);
    for (let i = 0; i < count; ++i) {
      const entry = directory + 2 + i * 12;
      if (view.getUint16(entry, little) !== 0x0112) continue;
      const value = view.getUint16(entry + 8, little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  } catch { /* A directory that ends early states nothing. */ }
  return 1;
}

// An EXIF segment that holds the orientation and nothing else.
function orientationSegment(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array([0xff, 0xe1, 0, 34, 0x45, 0x78, 0x69, 0x66, 0, 0, 0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1,
    0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, value, 0, 0, 0, 0, 0, 0]);
}

// A JPEG without EXIF, XMP, IPTC, comments and maker's data, its pixels untouched; null where `bytes` is no JPEG.
// JFIF, ICC profile (APP2) and Adobe's colour marker (APP14) stay: decoders need them.
export function withoutMetadata(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] | null {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  const kept: Uint8Array<ArrayBuffer>[] = [];
  let turned = 1;
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) return null;
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      ++at;
      continue;
    }
    const length = 2 + bytes[at + 2] * 256 + bytes[at + 3];
    if (marker === 0xda) break;
    if (length < 4 || at + length > bytes.length) return null;
    const segment = bytes.subarray(at, at + length);
    const isExif = marker === 0xe1 && String.fromCharCode(...segment.subarray(4, 8)) === "Exif";
    const isProfile = marker === 0xe2 && String.fromCharCode(...segment.subarray(4, 15)) === "ICC_PROFILE";
    if (isExif) turned = orientation(segment.subarray(4));
    if ((marker < 0xe0 || marker > 0xef || marker === 0xe0 || marker === 0xee || isProfile) && marker !== 0xfe) kept.push(segment);
    at += length;
  }
  // What follows the end of the picture (a second picture, a film, a maker's appendix) is not the picture.
  const end = endOfPicture(bytes, at);
  return [bytes.subarray(0, 2), ...(turned === 1 ? [] : [orientationSegment(turned)]), ...kept, bytes.subarray(at, end)];
}

function endOfPicture(bytes: Uint8Array, from: number): number {
  for (let at = from; at + 1 < bytes.length; ++at) {
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return at + 2;
  }
  return bytes.length;
}

async function smaller(photo: Blob): Promise<Blob | null> {
  let picture: ImageBitmap;
  try {
    picture = await createImageBitmap(photo);
  } catch {
    return null; // A kind this browser does not know; the server may.
  }
  const scale = kLongest / Math.max(picture.width, picture.height);
  if (scale >= 1) {
    picture.close();
    return null;
  }
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const context = canvas.getContext("2d")!;
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
}

// A PNG or WebP through pixels: what a browser writes carries no metadata.
async function rewritten(photo: Blob): Promise<Blob | null> {
  try {
    const picture = await createImageBitmap(photo);
    const canvas = document.createElement("canvas");
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d")!.drawImage(picture, 0, 0);
    picture.close();
    return await new Promise((done) => canvas.toBlob(done, "image/png"));
  } catch {
    return null;
  }
}

// The photo as it may leave the device. A JPEG of at most 1,600 pixels keeps its pixels to the bit. A kind that
// this browser cannot open (HEIC on some) goes as it is: the server drops what is written in it.
export async function fitToSend(photo: Blob): Promise<Blob> {
  const small = await smaller(photo);
  if (small) return small;
  const parts = withoutMetadata(new Uint8Array(await photo.arrayBuffer()));
  if (parts) return new Blob(parts, { type: "image/jpeg" });
  return (await rewritten(photo)) ?? photo;
}
