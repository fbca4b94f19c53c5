# SPDX-License-Identifier: Apache-2.0
"""Markdown pages as the tests see them: fenced blocks, what a page needs to be run, headings.

A page whose commands are run begins with a comment that says in what surroundings:

    <!-- commands
    ways: folder, bucket
    ports: 8080
    slow: bucket
    needs bucket: versitygw
    $ pomona datasets make turntable photos --count 240
    -->

`ways` are alternatives: the page is run once for each, and a block "```console bucket" is run only in its own. `ports`
are replaced by free ones. `slow` and `needs` may name a way. Lines that begin with "$ " are run first.

In a block "```console", a line "$ ..." is a command and "> ..." goes on with it; other lines are what it prints, as a
whole, where "..." stands for anything. A command ends with 0 unless "$ echo $?" follows. One that ends in " &" goes on
in the background. "```console not-run: REASON" is shown to the reader and not run. "```python" blocks of a page with
`python: yes` are one program, in the same folder, after the commands.
"""
import dataclasses
import pathlib
import re

from places import ROOT

FENCE = re.compile(r"^(`{3,}|~{3,})\s*([^`]*)$")


@dataclasses.dataclass
class Block:
    language: str
    tag: str  # what follows the language
    line: int  # of its fence, from 1
    lines: list


@dataclasses.dataclass
class Command:
    text: str
    line: int
    shown: list  # lines of output; empty: not looked at


def all_pages():
    """Every Markdown file of the tree that is ours."""
    skip = {".venv", "node_modules", "build", "demo", "dist", ".git", ".pytest_cache"}
    found = []
    for path in sorted(ROOT.rglob("*.md")):
        parts = path.relative_to(ROOT).parts
        if not any(part in skip or part.startswith((".venv", "build-")) for part in parts):
            found.append(path)
    return found


def name_of(path):
    return str(pathlib.Path(path).relative_to(ROOT))


def blocks(path):
    found, fence, block = [], None, None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = FENCE.match(line.strip() if fence is None else line.rstrip())
        assert fence or match or not line.lstrip().startswith("```"), f"{name_of(path)}:{number}: no backticks behind a fence"
        if fence is None and match:
            fence = match[1]
            language, _, tag = match[2].strip().partition(" ")
            block = Block(language, tag.strip(), number, [])
        elif fence is not None and line.strip() == fence:
            found.append(block)
            fence = None
        elif fence is not None:
            block.lines.append(line)
    assert fence is None, f"{name_of(path)}: the block of line {block.line} has no end"
    return found


@dataclasses.dataclass
class Settings:
    ways: list
    ports: list
    slow: set
    needs: dict
    python: bool
    commands: list


def settings(path):
    """What the comment at a page's top says; None where there is none."""
    match = re.match(r"(?:#[^\n]*\n+)?<!-- commands\n(.*?)-->", path.read_text(encoding="utf-8"), re.S)
    if not match:
        return None
    result = Settings([""], [], set(), {}, False, [])
    for number, line in enumerate(match[1].splitlines(), 2):
        if line.startswith("$ "):
            result.commands.append(Command(line[2:], number, []))
            continue
        key, colon, value = line.partition(":")
        words = [word.strip() for word in value.split(",") if word.strip()]
        key, _, way = key.strip().partition(" ")
        assert colon and key in ("ways", "ports", "slow", "needs", "python"), f"{name_of(path)}: {line!r}"
        if key == "needs":
            result.needs.setdefault(way, []).extend(words)
        elif key == "slow":
            result.slow = {"" if word == "yes" else word for word in words}
        elif key == "python":
            result.python = True
        else:
            setattr(result, key, words)
    return result


def commands(path, way=""):
    """The commands of a page's console blocks, in order."""
    found = []
    for block in blocks(path):
        if block.language != "console" or block.tag.startswith("not-run:") or (block.tag and block.tag != way):
            continue
        for number, line in enumerate(block.lines, block.line + 1):
            if line.startswith("$ "):
                found.append(Command(line[2:], number, []))
            elif line.startswith("> ") and found and not found[-1].shown:
                found[-1].text += "\n" + line[2:]
            else:
                assert found, f"{name_of(path)}:{number}: output before any command"
                found[-1].shown.append(line)
    return found


def pattern(shown):
    """What is shown, as a regular expression over the whole output."""
    text = "\n".join(line.rstrip() for line in shown).strip("\n")
    # A line of dots stands for any number of lines, none included; it takes its line ends along.
    pieces = re.split(r"(^\.\.\.\n|\n\.\.\.$|^\.\.\.$|\.\.\.)", text, flags=re.M)
    return "".join(".*" if "..." in piece else re.escape(piece) for piece in pieces)


def shows(shown, output):
    output = "\n".join(line.rstrip() for line in output.splitlines()).strip("\n")
    return re.fullmatch(pattern(shown), output, re.S) is not None


# A page is looked at by people: headings become anchors as GitHub makes them.
def anchors(path):
    taken, found = {}, set()
    text = re.sub(r"^(`{3,}|~{3,}).*?^\1\s*$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", text, re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        plain = re.sub(r"[*`]", "", plain)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = taken.get(slug, 0)
        taken[slug] = number + 1
        found.add(slug if number == 0 else f"{slug}-{number}")
    found |= set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    return found
