# SPDX-License-Identifier: Apache-2.0
"""Every link of a page leads somewhere: files, folders and headings of this tree. Addresses of the web are not asked."""
import pathlib
import re
import sys
import urllib.parse

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import pages  # noqa: E402
from places import ROOT  # noqa: E402


def links(path):
    """(line, target) of [text](target) and of <a href>, outside of blocks and code."""
    fence, found = None, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark = pages.FENCE.match(line.strip())
        if mark and (fence is None or line.strip() == fence):
            fence = None if fence else mark[1]
            continue
        if fence is None:
            plain = re.sub(r"`[^`]*`(?!\])", "", line)
            found += [(number, target) for target in re.findall(r"\]\(([^)\s]+)\)", plain)]
            found += [(number, target) for target in re.findall(r'(?:href|src)="([^"]+)"', plain)]
    return found


@pytest.mark.parametrize("path", pages.all_pages(), ids=pages.name_of)
def test_links_lead_somewhere(path):
    broken = []
    for line, target in links(path):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = urllib.parse.unquote(target).partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            broken.append(f"{line}: {target}: there is no {name}")
        elif anchor and file.suffix == ".md" and anchor not in pages.anchors(file):
            broken.append(f"{line}: {target}: {pages.name_of(file)} has no such heading")
    assert not broken, f"{pages.name_of(path)}:\n" + "\n".join(broken)


def test_the_index_names_every_page():
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / target.partition("#")[0]).resolve() for _, target in links(index)}
    # A folder's own index stands for the pages that it names.
    for inner in [path for path in named if path.name == "README.md" and ROOT / "docs" in path.parents]:
        named |= {(inner.parent / target.partition("#")[0]).resolve() for _, target in links(inner)}
    missing = [pages.name_of(path) for path in sorted((ROOT / "docs").rglob("*.md"))
               if path != index and path.resolve() not in named and "decisions" not in path.parts]
    assert not missing, f"docs/README.md does not name {missing}"


def test_headings_become_the_anchors_that_links_use(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `code` & more\n## Two  words\n## Same\n## Same\n```\n# no heading\n```\n")
    assert pages.anchors(page) == {"a-code--more", "two--words", "same", "same-1"}
