#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""For writers of pages: runs a page's commands and prints what they print, marking what the page says otherwise.

    POMONA_BIN=build/bin/pomona .venv/bin/python tests/docs/transcript.py docs/tutorial/README.md [WAY]
"""
import os
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import pages  # noqa: E402
from places import BUILD  # noqa: E402
from session import Session  # noqa: E402
from surroundings import environment  # noqa: E402


def main(name, way=""):
    path = pathlib.Path(name).resolve()
    settings = pages.settings(path)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        env = environment(os.environ.get("POMONA_BIN", BUILD / "bin" / "pomona"), folder)
        with Session(folder, env, settings.ports) as session:
            for command in settings.commands + pages.commands(path, way):
                code, (out, err) = session.run(command)
                differs = command.shown and not (pages.shows(command.shown, out) or pages.shows(command.shown, out + "\n" + err))
                print(f"$ {command.text}\n{out}{err}" + (f"[exit {code}]\n" if code else "")
                      + ("[NOT AS SHOWN]\n" if differs else ""), end="", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
