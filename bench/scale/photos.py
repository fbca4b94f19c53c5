# SPDX-License-Identifier: Apache-2.0
"""Photos of mixed sizes, as a camera's and a web shop's are: pieces of real photos with natural backgrounds, scaled to
sizes between 300 and 4,000 pixels, with the grain that scaling up takes away; JPEG at qualities 75 to 95."""
import concurrent.futures
import os
import random

import numpy as np
from PIL import Image

GRAIN = None  # a tile of noise per process


def long_side(rng):
    """Pixels: log-normal about 900, as the public sets of fruit photos are, cut to what is asked for."""
    while True:
        side = int(rng.lognormvariate(6.8, 0.6))
        if 300 <= side <= 4000:
            return side


def make_photo(sources, file, seed):
    global GRAIN
    rng = random.Random(seed)
    if GRAIN is None:
        GRAIN = Image.fromarray(np.random.default_rng(0).normal(128, 6, (1024, 1024, 3)).clip(0, 255).astype(np.uint8))
    side = long_side(rng)
    ratio = rng.choice((1, 3 / 4, 2 / 3, 9 / 16))
    size = (side, max(300, int(side * ratio)))
    if rng.random() < 0.3:
        size = size[::-1]
    with Image.open(sources[rng.randrange(len(sources))]) as opened:
        photo = opened.convert("RGB")
    kept = rng.uniform(0.7, 1)
    width, height = int(photo.width * kept), int(photo.height * kept)
    left, top = rng.randint(0, photo.width - width), rng.randint(0, photo.height - height)
    photo = photo.resize(size, Image.Resampling.BILINEAR, (left, top, left + width, top + height))
    grain = GRAIN.crop((0, 0, min(1024, size[0]), min(1024, size[1])))
    for x in range(0, size[0], 1024):
        for y in range(0, size[1], 1024):
            box = (x, y, min(x + 1024, size[0]), min(y + 1024, size[1]))
            tile = grain.crop((0, 0, box[2] - x, box[3] - y))
            photo.paste(Image.blend(photo.crop(box), tile, 0.25), box)
    photo.save(file, quality=rng.randint(75, 95))
    return size[0] * size[1], os.path.getsize(file)


def make_photos(sources, folder, count, processes):
    """Makes `count` photos; (mean megapixels, all bytes)."""
    jobs = []
    for number in range(count):
        place = folder / f"{number // 1000:03d}"
        if number % 1000 == 0:
            place.mkdir(parents=True, exist_ok=True)
        jobs.append((sources, place / f"{number:06d}.jpg", number))
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        made = list(pool.map(make_photo, *zip(*jobs), chunksize=16))
    return sum(pixels for pixels, _ in made) / count / 1e6, sum(size for _, size in made)
