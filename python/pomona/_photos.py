# SPDX-License-Identifier: Apache-2.0
"""What goes in and what may go wrong: the same for featurizers and models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, Union

import numpy as np
import numpy.typing as npt

OnError: TypeAlias = Literal["raise", "null"]

#: A photo: a local path or URI, the bytes of an encoded photo (JPEG, PNG, WebP, HEIC, AVIF), or its pixels as a
#: uint8 array of shape (height, width, 3), RGB; (height, width, 4) and (height, width) are taken too.
Photo: TypeAlias = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, npt.NDArray[np.uint8]]


class PhotoError(ValueError):
    """A photo that could not be read or decoded.

    Attributes:
        index: its position among the photos given.
        reason: what is wrong with it, in one sentence.
    """

    def __init__(self, index: int, reason: str, source: str | None = None) -> None:
        shown = f"photos[{index}]" + (f" ({source})" if source else "")
        super().__init__(f"{shown}: {reason}")
        self.index = index
        self.reason = reason
        self.source = source

    def __reduce__(self) -> tuple[Any, ...]:
        return PhotoError, (self.index, self.reason, self.source)


class Features(np.ndarray[Any, np.dtype[np.float32]]):
    """A float32 array of shape (n, d): one row per photo.

    Attributes:
        errors: per photo None, or why its row is NaN. Views and copies of the array have None in its place.
    """

    errors: list[str | None] | None

    def __array_finalize__(self, other: Any) -> None:
        self.errors = None


def as_sequence(photos: Iterable[Photo]) -> Sequence[Photo] | npt.NDArray[np.uint8]:
    """A list of photos from any iterable; one photo by itself is a mistake that is easily made."""
    if isinstance(photos, (str, bytes, bytearray, memoryview, os.PathLike)):
        raise TypeError("photos must be a list; for one photo write [photo]")
    if isinstance(photos, np.ndarray):
        if photos.ndim < 4 and photos.dtype != object:
            raise TypeError(f"photos is one array of shape {photos.shape}; for one photo write [photo], for many "
                            "give a list or an array of shape (n, height, width, 3)")
        return photos
    return photos if isinstance(photos, (list, tuple)) else list(photos)


def check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "null"):
        raise ValueError(f"on_error is {on_error!r}; it can be 'raise' or 'null'")


def raise_first(errors: Sequence[str | None], photos: Any) -> None:
    """Raises PhotoError for the first photo that failed, if one did."""
    for index, reason in enumerate(errors):
        if reason is not None:
            photo = photos[index] if photos is not None else None
            source = os.fspath(photo) if isinstance(photo, (str, os.PathLike)) else None
            raise PhotoError(index, reason, source)
