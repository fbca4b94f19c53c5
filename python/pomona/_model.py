# SPDX-License-Identifier: Apache-2.0
"""Models: photos -> answers."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import _core
from ._featurizer import Featurizer
from ._pca import _matrix
from ._photos import OnError, Photo, as_sequence, check_on_error, raise_first


@dataclass(frozen=True)
class Answer:
    """What one target's head says about one photo.

    Attributes:
        label: the most probable class.
        probability: of that class, 0 to 1.
        confident: the probability reaches the threshold that was calibrated in training, and the photo is like
            those of training.
        top: the most probable classes as (label, probability), best first.
    """

    label: str
    probability: float
    confident: bool
    top: list[tuple[str, float]]


@dataclass(frozen=True)
class Prediction:
    """What a model says about one photo. ``label`` to ``top`` are those of the first target; where the photo could
    not be read, ``error`` says why and ``targets`` is empty."""

    targets: dict[str, Answer]
    unknown: bool = False
    distance: float | None = None
    error: str | None = None

    @property
    def _first(self) -> Answer | None:
        return next(iter(self.targets.values()), None)

    @property
    def label(self) -> str | None:
        return None if self._first is None else self._first.label

    @property
    def probability(self) -> float:
        return float("nan") if self._first is None else self._first.probability

    @property
    def confident(self) -> bool:
        return self._first is not None and self._first.confident

    @property
    def top(self) -> list[tuple[str, float]]:
        return [] if self._first is None else self._first.top


@dataclass(frozen=True)
class Target:
    """One thing a model tells about a photo: its name, its classes, and from which probability on it is sure."""

    name: str
    labels: list[str]
    confident_threshold: float


class Model:
    """A model file with its network open; made by load_model(). Thread-safe. Pickling keeps the
    path; a forked child opens the file again at the first call."""

    def __init__(self, path: str | os.PathLike[str], precision: Literal["auto", "f32", "bf16", "int8"] = "auto",
                 threads: int = 0, batch: int = 0, compile_cache: bool = True) -> None:
        if threads < 0 or not 0 <= batch <= 1024:
            raise ValueError("threads must be 0 or more and batch between 0 and 1024")
        self._arguments = (os.fspath(path), precision, threads, batch, compile_cache)
        self._opened = _core.Model.load(*self._arguments)
        self._process = os.getpid()
        if self._opened.warning:
            warnings.warn(self._opened.warning, stacklevel=3)

    @property
    def _engine(self) -> _core.Model:
        # A fork takes the threads away: the child opens the network again.
        if self._process != os.getpid():
            self._opened = _core.Model.load(*self._arguments)
            self._process = os.getpid()
        return self._opened

    def predict(self, photos: Iterable[Photo], top: int = 3, on_error: OnError = "raise") -> list[Prediction]:
        """Answers for photos, in their order; the same as ``pomona predict`` gives.

        Args:
            photos: paths, URIs, bytes or uint8 arrays as Featurizer.featurize takes.
            top: how many classes per target to list.
            on_error: "raise", or "null": a Prediction whose ``error`` says why.
        """
        check_on_error(on_error)
        items = as_sequence(photos)
        rows, errors = self._engine.predict(items)  # type: ignore[arg-type]
        if on_error == "raise":
            raise_first(errors, items)
        targets = self.targets
        return [Prediction({}, error=error) if row is None else self._prediction(row, targets, top)
                for row, error in zip(rows, errors)]

    def predict_proba(self, photos: Iterable[Photo], target: str | None = None,
                      on_error: OnError = "raise") -> npt.NDArray[np.float32]:
        """Probabilities, float32 (n, classes of the target); NaN where a photo could not be read and on_error is
        "null". ``target`` is the first one by default."""
        check_on_error(on_error)
        items = as_sequence(photos)
        rows, errors = self._engine.predict(items)  # type: ignore[arg-type]
        if on_error == "raise":
            raise_first(errors, items)
        index = self._index(target)
        found = np.full((len(rows), len(self.targets[index].labels)), np.nan, np.float32)
        for i, row in enumerate(rows):
            if row is not None:
                found[i] = row[3][index]
        return found

    def predict_features(self, x: npt.ArrayLike, top: int = 3) -> list[Prediction]:
        """Answers for feature vectors, shape (n, d), that this model's network made. Raises ValueError for another
        d and for NaN."""
        targets = self.targets
        return [self._prediction(row, targets, top) for row in self._engine.predict_features(_matrix(x, "x"))]

    def predict_arrow(self, column: Any) -> _core.ArrowColumn:
        """Answers for a column of photos as Featurizer.featurize_arrow takes: an object with ``__arrow_c_array__``
        of struct<label: string, probability: float, confident: bool, [label_TARGET, ... of further targets,]
        unknown: bool, distance: float, error: string>; null where a photo could not be read."""
        return self._engine.predict_arrow(column)

    @property
    def name(self) -> str:
        """For people; may be empty."""
        return self._engine.name

    @property
    def targets(self) -> list[Target]:
        """What it tells, first the main thing."""
        return [Target(*target) for target in self._engine.targets]

    @property
    def labels(self) -> list[str]:
        """The classes of the first target."""
        return self.targets[0].labels

    @property
    def card(self) -> dict[str, Any]:
        """Free-form texts that were put into the file."""
        found: dict[str, Any] = json.loads(self._engine.card)
        return found

    @property
    def training(self) -> dict[str, Any]:
        """The record of the training: data, counts, options, figures, versions."""
        found: dict[str, Any] = json.loads(self._engine.training)
        return found

    @property
    def description(self) -> str:
        """What ``pomona models info`` prints."""
        return "\n".join(self._engine.description)

    @property
    def featurizer(self) -> Featurizer:
        """The network inside."""
        return Featurizer._of(self._engine.featurizer)

    def __reduce__(self) -> tuple[Any, ...]:
        return Model, self._arguments

    def __repr__(self) -> str:
        targets = ", ".join(f"{t.name}: {len(t.labels)} classes" for t in self.targets)
        return f"<pomona.Model {self._arguments[0]!r}: {targets}>"

    def _index(self, target: str | None) -> int:
        if target is None:
            return 0
        names = [t.name for t in self.targets]
        if target not in names:
            raise ValueError(f"the model has no target {target!r}; it has {', '.join(names)}")
        return names.index(target)

    @staticmethod
    def _prediction(row: Any, targets: list[Target], top: int) -> Prediction:
        unknown, distance, answers, probabilities = row
        found = {}
        for target, (best, probability, confident), shares in zip(targets, answers, probabilities):
            order = np.argsort(-shares, kind="stable")[: max(top, 0)]
            listed = [(target.labels[i], float(shares[i])) for i in order]
            found[target.name] = Answer(target.labels[best], float(probability), confident, listed)
        return Prediction(found, unknown, distance)


def load_model(path: str | os.PathLike[str], precision: Literal["auto", "f32", "bf16", "int8"] = "auto", threads: int = 0,
               batch: int = 0, compile_cache: bool = True) -> Model:
    """Opens a model file of ``pomona train`` or ``pomona run``, from a path or URI.

    Args:
        path: model.onnx; s3://, gs://, abfs:// and hdfs:// too.
        precision: "auto" = as the model was trained, where this CPU can; "f32"; "bf16"; "int8".
        threads: 0 = as many as this process may use.
        batch: photos per inference; 0 = by the input size.
        compile_cache: keep the compiled network on disk.

    Raises:
        pomona.Error: not there (code "not-found"), not a model of Pomona or damaged ("format").
    """
    return Model(path, precision, threads, batch, compile_cache)
