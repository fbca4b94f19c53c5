# SPDX-License-Identifier: Apache-2.0
"""Photos -> feature vectors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, Literal

from . import _core
from ._photos import Features, OnError, Photo, as_sequence, check_on_error, raise_first


class Featurizer:
    """A pretrained network with its head cut off: photos in, feature vectors out.

    Decoding, resizing and inference run in C++ on ``threads`` threads with the GIL released. Vectors are the same
    to the bit as those that ``pomona featurize`` writes for the same photos with the same options on this kind of
    CPU, whatever the batch and the number of threads. Thread-safe. Pickling keeps the options and opens the network
    again where it is unpickled; so does a forked child at the first call.

    Args:
        model: a name of the registry (``pomona models list``) or a path (.onnx, .xml, .tflite, SavedModel folder).
        input_size: pixels, both sides; None = what the network was made for.
        precision: "auto" (int8 for networks that are quantized for it, bf16 where the CPU has it), "f32", "bf16" or "int8".
        layer: "penultimate", or the name of a tensor or node to cut at.
        pool: "auto", "avg", "max" or "none".
        preprocess: "tf", "caffe", "torch", "lite" or a JSON file; needed for a bare path, else the network's own.
        resize: "bicubic", "bilinear" or "nearest"; None = the network's own.
        fit: "squash", "crop" or "pad"; None = the network's own.
        exif_orientation: turn photos as their EXIF tag says. Arrays have no tag.
        jpeg_scale: "auto" decodes JPEGs far larger than needed at 1/2, 1/4 or 1/8; "off" never does.
        threads: 0 = as many as this process may use.
        batch: photos per inference, 0 = by the input size; memory grows with it, the vectors do not change.
        compile_cache: keep the compiled network on disk, so that it opens faster the next time.

    Raises:
        pomona.Error: no such network (code "not-found"), an option it does not know ("usage"), a file that is no
            network ("format").
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "efficientnet-lite0",
        input_size: int | None = None,
        precision: Literal["auto", "f32", "bf16", "int8"] = "auto",
        layer: str = "penultimate",
        pool: Literal["auto", "avg", "max", "none"] = "auto",
        preprocess: str | os.PathLike[str] | None = None,
        resize: Literal["bicubic", "bilinear", "nearest"] | None = None,
        fit: Literal["squash", "crop", "pad"] | None = None,
        exif_orientation: bool = True,
        jpeg_scale: Literal["auto", "off"] = "auto",
        threads: int = 0,
        batch: int = 0,
        compile_cache: bool = True,
    ) -> None:
        self._options: dict[str, Any] = {
            "model": os.fspath(model),
            "input_size": input_size,
            "precision": precision,
            "layer": layer,
            "pool": pool,
            "preprocess": None if preprocess is None else os.fspath(preprocess),
            "resize": resize,
            "fit": fit,
            "exif_orientation": exif_orientation,
            "jpeg_scale": jpeg_scale,
            "threads": threads,
            "batch": batch,
            "compile_cache": compile_cache,
        }
        self._open(_core.Featurizer(**self._options))

    @classmethod
    def _of(cls, engine: _core.Featurizer) -> Featurizer:
        made = cls.__new__(cls)
        made._options = {}
        made._open(engine)
        return made

    def _open(self, engine: _core.Featurizer) -> None:
        self._opened = engine
        self._process = os.getpid()

    @property
    def _engine(self) -> _core.Featurizer:
        # A fork takes the threads away: the child opens the network again.
        if self._process != os.getpid():
            if not self._options:
                raise RuntimeError("this is the featurizer of a model of another process; take model.featurizer again")
            self._open(_core.Featurizer(**self._options))
        return self._opened

    def featurize(self, photos: Iterable[Photo], on_error: OnError = "raise") -> Features:
        """Feature vectors of photos.

        Args:
            photos: any mix of paths and URIs (str, os.PathLike), encoded photos (bytes) and RGB pixels (uint8
                arrays of shape (height, width, 3)).
            on_error: "raise" ends at the first photo that cannot be read; "null" makes its row NaN and says why in
                ``.errors``.

        Returns:
            float32 array of shape (n, dimension), rows in the order of ``photos``; its attribute ``errors`` is a
            list with None or a sentence for each photo.

        Raises:
            PhotoError: with on_error="raise".
            TypeError: an item that is no photo.
            pomona.Error: a store as a whole does not answer (code "io").
            KeyboardInterrupt: within a batch after Ctrl-C.
        """
        check_on_error(on_error)
        items = as_sequence(photos)
        values, errors = self._engine.featurize(items)  # type: ignore[arg-type]
        if on_error == "raise":
            raise_first(errors, items)
        features = values.view(Features)
        features.errors = errors
        return features

    def featurize_arrow(
        self, column: Any, on_error: OnError = "null", list_type: Literal["list", "fixed_size_list"] = "list"
    ) -> _core.ArrowColumn:
        """Feature vectors of a column of photos, Arrow in, Arrow out, no Python object per photo.

        Args:
            column: anything with ``__arrow_c_array__`` or ``__arrow_c_stream__`` (an array, a chunked array, a
                table of one column) of type binary (encoded photos), string (paths or URIs) or Spark's image struct
                (height, width, nChannels, data as BGR). It is read where it lies.
            on_error: "null" makes the row null and says why; "raise" raises PhotoError.
            list_type: "list" (what Spark reads) or "fixed_size_list".

        Returns:
            An object with ``__arrow_c_array__``: struct<features: list<float>, error: string, width: int32,
            height: int32>, one row per photo; width and height in pixels of the whole photo. In pyarrow:
            ``pa.record_batch(result)``.

        Raises:
            ValueError: a column of another type.
            TypeError: not an Arrow object.
        """
        check_on_error(on_error)
        if list_type not in ("list", "fixed_size_list"):
            raise ValueError(f"list_type is {list_type!r}; it can be 'list' or 'fixed_size_list'")
        result = self._engine.featurize_arrow(column, list_type == "fixed_size_list")
        if on_error == "raise":
            first = result.first_error()
            if first is not None:
                raise_first([None] * first[0] + [first[1]], None)
        return result

    def __call__(self, photos: Iterable[Photo]) -> Features:
        """The same as ``featurize(photos)``."""
        return self.featurize(photos)

    @property
    def dimension(self) -> int:
        """Numbers per vector, d."""
        return self._engine.dimension

    @property
    def name(self) -> str:
        """The network's name in the registry, or its file name."""
        return self._engine.name

    @property
    def threads(self) -> int:
        """Threads a call keeps busy."""
        return self._engine.threads

    @property
    def batch(self) -> int:
        """Photos per inference."""
        return self._engine.batch

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What makes vectors comparable: "identity" (its fields), "identity_hash" and "precision"."""
        found: dict[str, Any] = json.loads(self._engine.fingerprint)
        return found

    @property
    def preprocess(self) -> dict[str, Any]:
        """How photos become the network's input: size in pixels, resize kernel, mean, std, ..."""
        found: dict[str, Any] = json.loads(self._engine.preprocess)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._options:
            raise TypeError("the featurizer of a model cannot be pickled by itself; pickle the model's path")
        return _open, (type(self), self._options)

    def __repr__(self) -> str:
        precision = self.fingerprint["precision"]
        return f"<pomona.Featurizer {self.name!r}: {self.dimension} numbers, {precision}, {self.threads} threads>"


def _open(kind: type[Featurizer], options: dict[str, Any]) -> Featurizer:
    return kind(**options)
