# SPDX-License-Identifier: Apache-2.0
"""The pages that are made from the code are what the code says now."""
import difflib
import json
import pathlib
import re
import sys

import pytest

from places import ROOT

sys.path[:0] = [str(ROOT / "setup"), str(pathlib.Path(__file__).resolve().parent)]
import reference  # noqa: E402


@pytest.fixture(scope="module")
def made(pomona):
    return reference.all_pages(pomona.path)


def test_the_pages_are_those_that_the_code_makes(made):
    for name, text in made.items():
        path = ROOT / name
        written = path.read_text(encoding="utf-8") if path.exists() else ""
        changes = list(difflib.unified_diff(written.splitlines(), text.splitlines(), name, "the code", lineterm="", n=1))
        assert not changes, "run setup/reference.py and look at what it changed:\n" + "\n".join(changes[:40])


def test_every_option_of_the_command_is_there_with_its_default(made, pomona):
    page = made["docs/reference/cli.md"]
    for verb in ("run", "train", "serve", "predict", "purge"):
        text = pomona(verb, "--help").stdout.decode()
        for names, default in re.findall(r"^  (-\S+)(?: (?:[A-Z]+(?::[A-Z]+| in \[[^\]]*\])?|\{\S+?\})(?:=(\S+))?)?", text, re.M):
            name = names.split(",")[-1]
            rows = [line for line in page.splitlines() if f"`{name}`" in line and line.startswith("| ")]
            assert rows or name == "--help", f"{verb} {name} is not in the reference"
            if default:
                assert any(f"default `{default}`" in row for row in rows), f"{verb} {name}={default}"


def verbs(text):
    return re.findall(r"^  ([a-z]+)(?=  |$)", text.partition("Subcommands:\n")[2], re.M)


def test_help_fits_a_terminal_of_80_columns(pomona):
    def help_of(*words):
        return pomona(*words, "--help").stdout.decode()

    pages = {(verb,): help_of(verb) for verb in verbs(help_of())}
    pages |= {(*words, part): help_of(*words, part) for words, text in pages.items() for part in verbs(text)}
    pages[()] = help_of()
    assert len(pages) > 30
    assert [(words, line) for words, text in pages.items() for line in text.splitlines() if len(line) > 80] == []
    # What is too long goes on below, on the same side.
    assert re.search(r"^  --paths-from TEXT +Read paths from a file, .*\n {34}\S.* - is stdin$", pages[("run",)], re.M)


def test_the_http_page_names_what_the_server_serves(made):
    document = json.loads((ROOT / "apps" / "server" / "openapi.json").read_text())
    page = made["docs/reference/http.md"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert f"## {method.upper()} {path}\n" in page
            for parameter in operation.get("parameters", []):
                assert f"| `{parameter['name']}` | {parameter['in']} |" in page


def test_public_names_of_python_are_there(made):
    page = made["docs/reference/python.md"]
    for name in ("pomona.Featurizer", "pomona.PCA", "pomona.spark.ImageFeaturizer", "pomona.load_model", "pomona.Error"):
        assert f"## {name}\n" in page
    assert "PCA.partial_fit" in page and "PCA._fitted" not in page


def test_a_network_has_a_card_and_a_card_its_figures(made):
    cards = {name: text for name, text in made.items() if name.startswith("docs/model-cards/")}
    index = cards.pop("docs/model-cards/README.md")
    assert len(cards) >= 4 and all(f"({pathlib.Path(name).name})" in index for name in cards)
    for name, text in cards.items():
        assert re.search(r"\| SHA-256 \| `[0-9a-f]{64}` \|", text), name
        assert re.search(r"\| top-1 on ImageNet \| [\d.]+ %, as \w+", text), f"{name} has no top-1 with its source"
