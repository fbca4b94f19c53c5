# SPDX-License-Identifier: Apache-2.0
"""Exact PCA from mergeable moments, with scikit-learn's interface."""

from __future__ import annotations

import json
import numbers
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core


def _matrix(x: Any, what: str, d: int | None = None) -> npt.NDArray[np.float32]:
    """x as a C-contiguous float32 matrix; copied only where it is not one already."""
    given = np.asarray(x)
    if given.dtype.kind not in "fiub":
        raise ValueError(f"{what} must hold numbers, not {given.dtype}")
    if given.ndim != 2:
        raise ValueError(f"{what} must have shape (n, d); its shape is {given.shape}")
    if d is not None and given.shape[1] != d:
        raise ValueError(f"{what} has {given.shape[1]} columns; {d} are expected")
    return np.require(given, np.float32, ["C", "A"])


def _threads(n_jobs: int | None) -> int:
    return n_jobs if n_jobs is not None and n_jobs > 0 else 0


class Moments:
    """Running n, sum and X^T X of float32 row vectors, in float64: enough for an exact PCA.

    The moments of a union are the sum of the moments: partitions, resumed runs and threads join by ``merge``.

    Args:
        d: numbers per vector.
    """

    def __init__(self, d: int) -> None:
        if d < 1:
            raise ValueError(f"d is {d}; vectors have at least one number")
        self._engine = _core.Moments(d)

    @property
    def d(self) -> int:
        """Numbers per vector."""
        return self._engine.d

    @property
    def n(self) -> int:
        """Vectors added so far."""
        return self._engine.n

    @property
    def sum(self) -> npt.NDArray[np.float64]:
        """Column sums, shape (d,)."""
        return self._engine.sum

    @property
    def gram(self) -> npt.NDArray[np.float64]:
        """X^T X, shape (d, d), symmetric."""
        square = np.zeros((self.d, self.d))
        upper = np.triu_indices(self.d)
        square[upper] = self._engine.gram
        square.T[upper] = square[upper]
        return square

    def add(self, x: npt.ArrayLike, threads: int = 0) -> Moments:
        """Adds the rows of x, shape (n, d); float64 is rounded to float32. Returns self.

        Raises:
            ValueError: another shape; NaN or infinity.
        """
        self._engine.add(_matrix(x, "x", self.d), threads)
        return self

    def merge(self, other: Moments) -> Moments:
        """Adds the moments of another set of rows. Returns self.

        Raises:
            pomona.Error: d differs (code "mismatch").
        """
        self._engine.merge(other._engine)
        return self

    def serialize(self) -> bytes:
        """The portable form, with a checksum; the same as the command keeps beside a dataset."""
        return self._engine.serialize()

    @classmethod
    def deserialize(cls, data: bytes) -> Moments:
        """From serialize(). Raises pomona.Error (code "format") for anything damaged."""
        made = cls.__new__(cls)
        made._engine = _core.Moments.deserialize(data)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Moments.deserialize, (self.serialize(),)

    def __repr__(self) -> str:
        return f"<pomona.Moments of {self.n} vectors of {self.d} numbers>"


class PCA:
    """Exact principal component analysis with scikit-learn's interface.

    y = (x - mean_) components_^T. Equal to ``sklearn.decomposition.PCA(svd_solver="covariance_eigh")`` but for the
    sign: every component's largest absolute loading is positive here. Inputs may be float32 or float64 and of any
    layout; arithmetic is float32 products summed in float64.

    Args:
        n_components: how many; a share of the variance between 0 and 1; None = all, min(n, d).
        center: subtract the mean. False projects as Spark MLlib does.
        n_jobs: threads; None = as many as this process may use. The result does not depend on it.

    Attributes (after fit):
        components_: float32 (n_components_, d), rows of length 1.
        mean_: float32 (d,).
        explained_variance_, explained_variance_ratio_, singular_values_: float64 (n_components_,).
        n_components_, n_features_in_, n_samples_, noise_variance_.
        spectrum_: float64, all eigenvalues of the covariance, descending.
    """

    def __init__(self, n_components: int | float | None = None, *, center: bool = True,
                 n_jobs: int | None = None) -> None:
        self.n_components = n_components
        self.center = center
        self.n_jobs = n_jobs

    # The interface of estimators.

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"n_components": self.n_components, "center": self.center, "n_jobs": self.n_jobs}

    def set_params(self, **params: Any) -> PCA:
        """Sets constructor's arguments; returns self."""
        for name, value in params.items():
            if name not in self.get_params():
                raise ValueError(f"PCA has no parameter {name!r}; it has n_components, center and n_jobs")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(estimator_type="transformer", target_tags=TargetTags(required=False),
                    transformer_tags=TransformerTags(preserves_dtype=["float32"]), classifier_tags=None,
                    regressor_tags=None, input_tags=InputTags())

    def __sklearn_is_fitted__(self) -> bool:
        return getattr(self, "_engine", None) is not None

    # Fitting.

    def fit(self, X: npt.ArrayLike, y: object = None) -> PCA:
        """Fits on X, shape (n, d) with n >= 2. y is ignored. Returns self.

        Raises:
            ValueError: wrong shape; NaN; n_components out of range.
        """
        x = _matrix(X, "X")
        self._check_rows(x.shape[0])
        k, variance = self._wanted(min(x.shape))
        self._moments = None
        self._take(_core.Pca.fit(x, k, variance, self.center, _threads(self.n_jobs)))
        return self

    def partial_fit(self, X: npt.ArrayLike, y: object = None) -> PCA:
        """Adds the rows of X to those seen by partial_fit before and fits on all of them: exactly, not as an
        approximation. The components are computed when they are next asked for. Returns self."""
        x = _matrix(X, "X")
        moments = getattr(self, "_moments", None)
        if moments is None:
            moments = Moments(x.shape[1])
        self._moments = moments.add(x, _threads(self.n_jobs))
        self._engine = None
        self._stale = True
        return self

    def fit_moments(self, moments: Moments) -> PCA:
        """Fits on what moments were taken of: of partitions merged, or of many passes. Returns self."""
        self._check_rows(moments.n)
        k, variance = self._wanted(min(moments.n, moments.d))
        self._take(_core.Pca.fit_moments(moments._engine, k, variance, self.center, _threads(self.n_jobs)))
        return self

    def fit_transform(self, X: npt.ArrayLike, y: object = None) -> npt.NDArray[np.float32]:
        """fit(X).transform(X)."""
        x = _matrix(X, "X")
        return self.fit(x).transform(x)

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Components of X: float32 (n, n_components_). Raises ValueError for another d and for NaN."""
        engine = self._fitted()
        return engine.transform(_matrix(X, "X", engine.d), _threads(self.n_jobs))

    def inverse_transform(self, Y: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The vectors nearest to those that Y, shape (n, n_components_), are components of: float32 (n, d)."""
        engine = self._fitted()
        back: npt.NDArray[np.float32] = _matrix(Y, "Y", engine.k) @ self.components_ + self.mean_
        return back

    # What was found.

    @property
    def components_(self) -> npt.NDArray[np.float32]:
        engine = self._fitted()
        return engine.components.reshape(engine.k, engine.d)

    @property
    def mean_(self) -> npt.NDArray[np.float32]:
        return self._fitted().mean

    @property
    def spectrum_(self) -> npt.NDArray[np.float64]:
        return self._fitted().spectrum

    @property
    def explained_variance_(self) -> npt.NDArray[np.float64]:
        engine = self._fitted()
        return engine.spectrum[: engine.k]

    @property
    def explained_variance_ratio_(self) -> npt.NDArray[np.float64]:
        total = float(self.spectrum_.sum())
        return self.explained_variance_ / total if total > 0 else np.zeros(self.n_components_)

    @property
    def singular_values_(self) -> npt.NDArray[np.float64]:
        return np.sqrt(np.maximum(self.explained_variance_, 0) * (self.n_samples_ - 1))

    @property
    def noise_variance_(self) -> float:
        engine = self._fitted()
        rank = min(engine.d, engine.n)
        rest = engine.spectrum[engine.k : rank]
        return float(rest.mean()) if rest.size else 0.0

    @property
    def n_components_(self) -> int:
        return self._fitted().k

    @property
    def n_features_in_(self) -> int:
        return self._fitted().d

    @property
    def n_samples_(self) -> int:
        return self._fitted().n

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """Names of the components, as scikit-learn makes them: pca0, pca1, ..."""
        return np.array([f"pca{i}" for i in range(self.n_components_)], dtype=object)

    @property
    def record(self) -> dict[str, Any]:
        """What the file says besides: the fingerprint of the features it was fitted on, where that is known."""
        found = json.loads(self._fitted().record)
        return found if isinstance(found, dict) else {}

    # Files.

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the command's PCA file (``pomona reduce --pca``), to a path or URI; whole or not at all."""
        self._fitted().save(os.fspath(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PCA:
        """Reads a PCA file of the command, from a path or URI. Raises pomona.Error ("not-found", "format")."""
        return cls._of(_core.Pca.load(os.fspath(path)))

    def serialize(self) -> bytes:
        """The bytes of the file that save() writes."""
        return self._fitted().serialize()

    @classmethod
    def deserialize(cls, data: bytes) -> PCA:
        """From serialize()."""
        return cls._of(_core.Pca.deserialize(data))

    @classmethod
    def _of(cls, engine: _core.Pca) -> PCA:
        made = cls(n_components=engine.k, center=engine.center)
        made._take(engine)
        return made

    def __getstate__(self) -> dict[str, Any]:
        state = self.get_params()
        engine = getattr(self, "_engine", None)
        moments = getattr(self, "_moments", None)
        state["_pca"] = None if engine is None else engine.serialize()
        state["_moments"] = None if moments is None else moments.serialize()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        pca, moments = state.pop("_pca"), state.pop("_moments")
        self.__dict__.update(state)
        self._engine = None if pca is None else _core.Pca.deserialize(pca)
        self._moments = None if moments is None else Moments.deserialize(moments)
        self._stale = self._moments is not None and self._engine is None

    def __repr__(self) -> str:
        return f"PCA(n_components={self.n_components!r}, center={self.center!r})"

    # Within.

    _engine: _core.Pca | None
    _moments: Moments | None

    def _take(self, engine: _core.Pca) -> None:
        self._engine = engine
        self._stale = False

    def _fitted(self) -> _core.Pca:
        if getattr(self, "_stale", False) and self._moments is not None:
            self.fit_moments(self._moments)
        engine = getattr(self, "_engine", None)
        if engine is None:
            # hasattr() must say no before fit(), and numpy's users know ValueError.
            raise NotFittedError("this PCA is not fitted yet; call fit(), partial_fit() or PCA.load() first")
        return engine

    @staticmethod
    def _check_rows(n: int) -> None:
        if n < 2:
            raise ValueError(f"a PCA needs at least 2 rows, not {n}")

    def _wanted(self, most: int) -> tuple[int | None, float | None]:
        n = self.n_components
        if n is None:
            return most, None
        if isinstance(n, numbers.Integral) and not isinstance(n, bool):
            if not 1 <= n <= most:
                raise ValueError(f"n_components={n} must be between 1 and min(n, d) = {most}")
            return int(n), None
        if isinstance(n, numbers.Real) and not isinstance(n, bool) and 0 < float(n) < 1:
            return None, float(n)
        raise ValueError(f"n_components={n!r} must be a whole number of at least 1, a share between 0 and 1, or None")


class NotFittedError(ValueError, AttributeError):
    """A PCA that was asked for results before it was fitted."""
