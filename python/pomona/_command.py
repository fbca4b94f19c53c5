# SPDX-License-Identifier: Apache-2.0
"""The command `pomona` of the wheel: the program itself, told where OpenVINO and Arrow lie."""

from __future__ import annotations

import os
import pathlib
import sys

from . import _libs


def command_path() -> pathlib.Path:
    """The program. Raises FileNotFoundError in a build folder, where it is in bin/."""
    path = pathlib.Path(__file__).absolute().parent / "bin" / "pomona"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: this pomona was not installed from a wheel")
    return path


# Where the wheel's libcurl, which is Debian's, looks for certificates; and where others have them.
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_CERTIFICATES_ELSEWHERE = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")


def main() -> None:
    """Becomes the program."""
    path = command_path()
    environment = dict(os.environ)
    folders = [os.fspath(folder) for folder in _libs.library_folders()]
    if environment.get("LD_LIBRARY_PATH"):
        folders.append(environment["LD_LIBRARY_PATH"])
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(folders)
    environment.setdefault("POMONA_BUNDLED_MODELS", os.fspath(_libs.bundled_models()))
    if not os.path.exists(_CERTIFICATES) and "CURL_CA_BUNDLE" not in environment:
        for file in filter(os.path.exists, _CERTIFICATES_ELSEWHERE):
            environment.setdefault("SSL_CERT_FILE", file)
    environment.setdefault("POMONA_PYTHON", sys.executable)
    os.execve(path, [os.fspath(path), *sys.argv[1:]], environment)
