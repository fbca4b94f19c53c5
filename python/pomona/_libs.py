# SPDX-License-Identifier: Apache-2.0
"""Loads what the module links, before the module: OpenVINO's and pyarrow's own libraries, and our oneDAL.

Each is opened by its full path and by itself, so that it finds its own dependencies (OpenVINO its libtbb, oneDAL the
newer one), whatever the process imported before and whatever it imports later.
"""

import ctypes
import importlib.util
import os
import pathlib

_WANTED = (
    ("openvino", "libs", ("libopenvino.so.",)),
    ("pyarrow", "", ("libarrow.so.", "libparquet.so.", "libarrow_s3.so.")),
)
_PRIVATE = ("libpomona_onedal_core.so.4", "libpomona_onedal.so.4")


def folder_of(package: str) -> pathlib.Path:
    """Where a package lies; it is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        raise ImportError(f"pomona needs the package {package}; install it with: pip install {package}")
    return pathlib.Path(spec.origin).parent


def private_folder() -> pathlib.Path:
    """Where our own libraries lie. In the build folder this file is a link to its source, they are not."""
    return pathlib.Path(__file__).absolute().parent / "_libs"


def bundled_models() -> pathlib.Path:
    """Where the wheel keeps the default network."""
    return pathlib.Path(__file__).absolute().parent / "models"


def library_folders() -> list[pathlib.Path]:
    """The folders of the libraries that the module and the command link."""
    return [private_folder(), folder_of("openvino") / "libs", folder_of("pyarrow")]


def _open(path: pathlib.Path) -> None:
    try:
        ctypes.CDLL(os.fspath(path), mode=os.RTLD_LOCAL | os.RTLD_LAZY)
    except OSError as error:
        raise ImportError(f"cannot load {path}: {error}") from error


def preload() -> None:
    """Loads all of them, and tells the engine about the wheel's network. Raises ImportError that names what is
    missing."""
    if bundled_models().is_dir():
        os.environ.setdefault("POMONA_BUNDLED_MODELS", os.fspath(bundled_models()))
    for package, below, starts in _WANTED:
        folder = folder_of(package) / below
        for start in starts:
            found = sorted(folder.glob(start + "*"))
            if not found:
                raise ImportError(f"{folder} holds no {start}*: this version of {package} is not the one that pomona "
                                  "was built for; pip install --force-reinstall pomona brings the right one")
            _open(found[0])
    for name in _PRIVATE:
        _open(private_folder() / name)
