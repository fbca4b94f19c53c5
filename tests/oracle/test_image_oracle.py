# SPDX-License-Identifier: Apache-2.0
"""Pomona's decoder and resizer against Pillow, over generated and real pictures.

Runs bin/pomona-image-oracle of the build folder that POMONA_BUILD names (default: build).
"""

import io
import random
import struct
import subprocess
import tarfile
import zlib

import numpy as np
import pytest
from heic_writer import write_heic
from PIL import Image, ImageOps, features
from places import BUILD, SHARED

TOOL = BUILD / "bin" / "pomona-image-oracle"
KERNELS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}


class Oracle:
    """The tool as a process: one job in, one answer out."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait() == 0

    def keep(self, data):
        self.count += 1
        path = self.folder / f"{self.count % 8}.bin"
        path.write_bytes(data)
        return path

    def ask(self, *fields):
        """(pixels, (full width, full height)), or the reason of the rejection."""
        self.process.stdin.write(("\t".join(str(f) for f in fields) + "\n").encode())
        self.process.stdin.flush()
        head = self.process.stdout.readline().decode().rstrip("\n")
        if not head.startswith("ok "):
            assert head.startswith("rejected "), head
            return head.removeprefix("rejected ")
        width, height, full_width, full_height = map(int, head.split()[1:])
        raw = self.process.stdout.read(width * height * 3)
        return np.frombuffer(raw, np.uint8).reshape(height, width, 3), (full_width, full_height)

    def decode(self, data, exif=True, scale="off", width=0, height=0):
        return self.ask("decode", int(exif), scale, width, height, self.keep(data))

    def resize(self, array, kernel, fit, width, height):
        source_height, source_width, _ = array.shape
        path = self.keep(array.tobytes())
        return self.ask("resize", kernel, fit, width, height, source_width, source_height, path)[0]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    if not TOOL.exists():
        pytest.skip(f"{TOOL} is not built (set POMONA_BUILD to a build folder with tests)")
    tool = Oracle(tmp_path_factory.mktemp("image"))
    yield tool
    tool.close()


def pillow(data, exif=True):
    image = Image.open(io.BytesIO(data))
    if exif:
        image = ImageOps.exif_transpose(image)
    return np.asarray(image.convert("RGB"))


def encode(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def noise(width, height, seed=0, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def scene(width, height, seed=0):
    """Smooth shapes with edges and a little noise: closer to a photo than noise alone."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    planes = [128 + 100 * np.sin(9 * rng.random() * x + 7 * rng.random() * y + c) for c in range(3)]
    array = np.stack(planes, 2) + rng.normal(0, 6, (height, width, 3))
    array[(x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.05] = rng.integers(0, 256, 3)
    return np.clip(array, 0, 255).astype(np.uint8)


def check_decode(oracle, data, exif=True):
    answer = oracle.decode(data, exif)
    assert not isinstance(answer, str), answer
    expected = pillow(data, exif)
    assert answer[0].shape == expected.shape
    assert answer[1] == (expected.shape[1], expected.shape[0])
    np.testing.assert_array_equal(answer[0], expected)


def check_resize(oracle, array, kernel, fit, width, height):
    image = Image.fromarray(array)
    if fit == "squash":
        expected = image.resize((width, height), KERNELS[kernel])
    elif fit == "crop":
        expected = ImageOps.fit(image, (width, height), KERNELS[kernel])
    else:
        expected = ImageOps.pad(image, (width, height), KERNELS[kernel])
    got = oracle.resize(array, kernel, fit, width, height)
    np.testing.assert_array_equal(got, np.asarray(expected), err_msg=f"{array.shape} {kernel} {fit} {width} {height}")


def real_photos():
    photos = sorted((SHARED / "fruit-photos").rglob("*.jpg"))
    if not photos:
        pytest.skip(f"no photos under {SHARED}/fruit-photos")
    return photos


def subset_photos(step):
    path = SHARED / "fruits360-subset" / "Test.tar"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    with tarfile.open(path) as archive:
        members = [m for m in archive.getmembers() if m.isfile()]
        return [archive.extractfile(m).read() for m in members[::step]]


# Resizing


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("kernel", list(KERNELS))
def test_resize_odd_sizes(oracle, kernel, fit):
    sources = [(1, 1), (2, 1), (1, 2), (3, 5), (17, 16), (1, 5000), (5000, 3), (22, 400), (100, 100), (223, 225), (640, 480)]
    targets = [(1, 1), (2, 3), (224, 224), (100, 100), (5, 31), (128, 64), (21, 22)]
    for width, height in sources:
        array = noise(width, height, width * 7 + height)
        for target in targets:
            check_resize(oracle, array, kernel, fit, *target)


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_resize_random_sizes(oracle, kernel):
    rng = random.Random(5)
    for turn in range(250):
        array = noise(rng.randint(1, 300), rng.randint(1, 300), turn)
        if turn % 3 == 0:
            array = np.where(array > 127, 255, 0).astype(np.uint8)  # extremes: overshoot is clipped
        check_resize(oracle, array, kernel, rng.choice(["squash", "crop", "pad"]), rng.randint(1, 300), rng.randint(1, 300))


def test_resize_one_axis_only(oracle):
    for kernel in KERNELS:
        check_resize(oracle, noise(224, 99), kernel, "squash", 224, 224)
        check_resize(oracle, noise(99, 224), kernel, "squash", 224, 224)
        check_resize(oracle, noise(224, 224), kernel, "squash", 224, 224)
        check_resize(oracle, noise(10, 99), kernel, "squash", 10, 24)


def test_resize_real_photos(oracle):
    for path in real_photos()[::6]:
        array = np.asarray(Image.open(path).convert("RGB"))
        for fit in ("squash", "crop", "pad"):
            check_resize(oracle, array, "bicubic", fit, 224, 224)


# Decoding


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 33), (100, 100), (333, 250), (1, 900), (900, 1)])
def test_jpeg(oracle, size):
    image = Image.fromarray(scene(*size))
    for subsampling in (0, 1, 2):
        for quality in (5, 75, 95):
            for progressive in (False, True):
                data = encode(image, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
                check_decode(oracle, data)
    check_decode(oracle, encode(image.convert("L"), "JPEG"))
    check_decode(oracle, encode(image.convert("CMYK"), "JPEG"))
    check_decode(oracle, encode(image, "JPEG", keep_rgb=True))
    check_decode(oracle, encode(image, "JPEG", restart_marker_blocks=1))


def test_jpeg_noise(oracle):
    for seed in range(40):
        image = Image.fromarray(noise(30 + seed, 61, seed))
        check_decode(oracle, encode(image, "JPEG", quality=1 + 2 * seed, subsampling=seed % 3))
        check_decode(oracle, encode(Image.fromarray(noise(30 + seed, 9, seed, 4), "CMYK"), "JPEG", quality=90))


def test_ycck_jpeg(oracle):
    """Pillow writes no YCCK: the Adobe marker of a CMYK file is made to say that it is."""
    data = encode(Image.fromarray(scene(64, 48)).convert("CMYK"), "JPEG")
    at = data.find(b"Adobe")
    assert at > 0 and data[at + 11] == 0
    check_decode(oracle, data[: at + 11] + b"\x02" + data[at + 12 :])


def test_real_photos(oracle):
    for path in real_photos()[::4]:
        check_decode(oracle, path.read_bytes())


def test_fruits360_photos(oracle):
    for data in subset_photos(6):
        check_decode(oracle, data)


def test_scaled_jpeg_equals_draft(oracle):
    """Scaled decoding is libjpeg's own; Pillow reaches it by draft()."""
    image = Image.fromarray(scene(1003, 757))
    for subsampling in (0, 1, 2):
        data = encode(image, "JPEG", subsampling=subsampling)
        for target, factor in ((501, 1), (250, 2), (224, 1), (120, 2), (60, 4), (40, 8), (10, 8)):
            if target == 224:
                factor = 1 if -(-757 // 2) < 448 else 2
            if target == 250 or target == 501:
                factor = next((f for f in (8, 4, 2) if -(-757 // f) >= 2 * target), 1)
            got, full = oracle.decode(data, scale="auto", width=target, height=target)
            assert full == (1003, 757)
            drafted = Image.open(io.BytesIO(data))
            drafted.draft("RGB", (1003 // factor, 757 // factor))
            np.testing.assert_array_equal(got, np.asarray(drafted))


def test_scaled_jpeg_is_never_below_twice_the_target(oracle):
    data = encode(Image.fromarray(scene(400, 300)), "JPEG")
    assert oracle.decode(data, scale="auto", width=75, height=75)[0].shape == (150, 200, 3)
    assert oracle.decode(data, scale="auto", width=76, height=75)[0].shape == (150, 200, 3)
    assert oracle.decode(data, scale="auto", width=75, height=76)[0].shape == (300, 400, 3)
    turned = encode(Image.fromarray(scene(400, 300)), "JPEG", exif=orientation_exif(6))
    assert oracle.decode(turned, scale="auto", width=75, height=100)[0].shape == (200, 150, 3)
    assert oracle.decode(turned, scale="auto", width=100, height=75)[0].shape == (400, 300, 3)


def png(width, height, depth, colour, rows, extra=b"", interlaced=False):
    """A PNG of any kind; `rows` are packed already."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


@pytest.mark.parametrize(
    "colour,depth",
    [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)],
)
def test_png_kinds(oracle, colour, depth):
    rng = np.random.default_rng(depth * 10 + colour)
    palette = png_chunk(b"PLTE", rng.bytes(3 * 2**depth)) if colour == 3 else b""
    transparency = {
        0: png_chunk(b"tRNS", b"\0\1"),
        2: png_chunk(b"tRNS", b"\0\1\0\2\0\3"),
        3: palette + png_chunk(b"tRNS", b"\0\x80"),
    }
    for width, height in ((1, 1), (7, 5), (64, 33)):
        length = (width * SAMPLES[colour] * depth + 7) // 8
        rows = [rng.bytes(length) for _ in range(height)]
        check_decode(oracle, png(width, height, depth, colour, rows, palette))
        if colour in transparency:
            check_decode(oracle, png(width, height, depth, colour, rows, transparency[colour]))
    if (colour, depth) == (0, 16):  # small values are kept, large ones clipped
        rows = [struct.pack(">8H", 0, 1, 127, 128, 255, 256, 257, 65535)]
        check_decode(oracle, png(8, 1, 16, 0, rows))


def adam7(array):
    """The seven passes of an interlaced picture, as rows of bytes."""
    rows = []
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = array[y0::dy, x0::dx]
        if part.size:
            rows += [row.tobytes() for row in part]
    return rows


def test_png_interlaced(oracle):
    for width, height in ((1, 1), (3, 9), (50, 37)):
        for colour in (0, 2, 4, 6):
            array = noise(width, height, colour, SAMPLES[colour])
            check_decode(oracle, png(width, height, 8, colour, adam7(array), interlaced=True))
            wide = noise(width, height, colour, SAMPLES[colour] * 2)
            check_decode(oracle, png(width, height, 16, colour, adam7(wide), interlaced=True))


def test_png_short_palette(oracle):
    """Indices behind the palette's end."""
    rows = [bytes(range(256))]
    check_decode(oracle, png(256, 1, 8, 3, rows, png_chunk(b"PLTE", bytes(range(30)))))


def test_png_from_pillow(oracle):
    image = Image.fromarray(scene(91, 67))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        check_decode(oracle, encode(image.convert(mode), "PNG"))


@pytest.mark.skipif(not features.check("webp"), reason="Pillow was built without WebP")
def test_webp(oracle):
    for size in ((1, 1), (33, 17), (200, 150)):
        image = Image.fromarray(scene(*size))
        for options in ({"quality": 30}, {"quality": 90}, {"lossless": True}):
            check_decode(oracle, encode(image, "WEBP", **options))
            alpha = image.convert("RGBA")
            alpha.putalpha(Image.fromarray(noise(*size, 3, 1)[:, :, 0]))
            check_decode(oracle, encode(alpha, "WEBP", exact=True, **options))
    frames = [Image.fromarray(scene(60, 40, seed)) for seed in range(3)]
    check_decode(oracle, encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))


@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_avif_is_close(oracle):
    """Another library turns YUV into RGB there: equal but for rounding."""
    data = encode(Image.fromarray(scene(120, 80)), "AVIF", quality=90, subsampling="4:4:4")
    answer = oracle.decode(data)
    if isinstance(answer, str):
        pytest.skip(answer)
    difference = np.abs(answer[0].astype(int) - pillow(data))
    assert difference.max() <= 4 and difference.mean() < 1


@pytest.mark.parametrize("bits", [8, 10])
def test_heic_is_close(oracle, tmp_path, bits):
    """As phones write it: HEVC, colours at half the size. Cut short, it is refused as damaged."""
    pixels = np.asarray(Image.fromarray(scene(12, 8)).resize((121, 80), Image.Resampling.BICUBIC))
    try:
        write_heic(tmp_path / "photo.heic", pixels, bits)
    except OSError as error:
        pytest.skip(f"no HEIC can be written here: {error}")
    data = (tmp_path / "photo.heic").read_bytes()
    answer = oracle.decode(data)
    if isinstance(answer, str) and "built without libheif" in answer:
        pytest.skip(answer)
    assert answer[1] == (121, 80)
    difference = np.abs(answer[0].astype(int) - pixels)
    assert difference.mean() < 3, difference.mean()
    for part in (12, 40, len(data) // 2, len(data) - 40):
        assert "damaged or truncated HEIC" in oracle.decode(data[:part])


# Orientation


def orientation_exif(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


@pytest.mark.parametrize("orientation", range(0, 10))
def test_orientation(oracle, orientation):
    image = Image.fromarray(scene(90, 41))
    exif = orientation_exif(orientation)
    for data in (encode(image, "JPEG", exif=exif), encode(image, "PNG", exif=exif), encode(image, "WEBP", exif=exif)):
        check_decode(oracle, data, exif=True)
        check_decode(oracle, data, exif=False)


def test_orientation_big_endian_and_xmp(oracle):
    image = Image.fromarray(scene(50, 41))
    tiff = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    check_decode(oracle, encode(image, "JPEG", exif=b"Exif\0\0" + tiff))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="8"/></x:xmpmeta>'
    check_decode(oracle, encode(image, "JPEG", xmp=xmp))
    check_decode(oracle, encode(image, "WEBP", xmp=xmp))


# Bad input


def test_cut_files_are_rejected_as_pillow_does(oracle):
    """A file cut anywhere never decodes; Pillow and we agree, but for what lies behind the last pixel."""
    image = Image.fromarray(scene(24, 19))
    for format, options in (("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {})):
        data = encode(image, format, **options)
        for cut in range(0, len(data), 3):
            answer = oracle.decode(data[:cut])
            try:
                expected = pillow(data[:cut])
            except Exception:
                assert isinstance(answer, str), f"{format} cut at {cut} of {len(data)}"
            else:
                if not isinstance(answer, str):
                    np.testing.assert_array_equal(answer[0], expected)


def test_harmless_oddities_are_accepted(oracle):
    data = encode(Image.fromarray(scene(40, 30)), "JPEG")
    check_decode(oracle, data + b"trailing bytes")
    at = data.find(b"\xff\xdb")
    check_decode(oracle, data[:at] + b"\0\0\0" + data[at:])


def test_damage_never_kills_the_decoder(oracle):
    rng = random.Random(11)
    image = Image.fromarray(scene(60, 45))
    files = [encode(image, "JPEG"), encode(image, "JPEG", progressive=True), encode(image, "PNG"), encode(image, "WEBP")]
    if features.check("avif"):
        files.append(encode(image, "AVIF"))
    for turn in range(600):
        data = bytearray(files[turn % len(files)])
        for _ in range(rng.randint(1, 12)):
            data[rng.randrange(2, len(data))] = rng.randrange(256)
        answer = oracle.decode(bytes(data))
        assert isinstance(answer, (str, tuple))
    check_decode(oracle, files[0])
