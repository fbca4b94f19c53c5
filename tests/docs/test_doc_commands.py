# SPDX-License-Identifier: Apache-2.0
"""Every command that a page shows is run as it stands, and prints what the page says."""
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import pages  # noqa: E402
from surroundings import missing  # noqa: E402
from session import Session  # noqa: E402


def runs():
    """A test for each page with commands, and each of its ways."""
    found = []
    for path in pages.all_pages():
        settings = pages.settings(path)
        if settings is None:
            continue
        for way in settings.ways:
            name = pages.name_of(path) + (f"[{way}]" if way else "")
            slow = bool(settings.slow & {way, ""} if way else settings.slow)
            found.append(pytest.param(path, way, id=name, marks=[pytest.mark.slow] if slow else []))
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path,way", runs())
def test_the_commands_of_a_page(path, way, reader_env, tmp_path):
    settings = pages.settings(path)
    for need in settings.needs.get("", []) + settings.needs.get(way, []):
        lacks = missing(need)
        if lacks:
            pytest.skip(lacks)
    todo = settings.commands + pages.commands(path, way)
    with Session(tmp_path, reader_env, settings.ports) as session:
        for index, command in enumerate(todo):
            code, output = session.run(command)
            where = f"{pages.name_of(path)}:{command.line}: {command.text}\n"
            said = "\n".join(output)
            following = todo[index + 1].text if index + 1 < len(todo) else ""
            assert code == 0 or following.strip() == "echo $?", f"{where}ended with {code}:\n{said[-4000:]}"
            if command.shown:
                # What goes to standard error (progress) is not what a reader looks at, unless it is shown.
                fits = pages.shows(command.shown, output[0]) or pages.shows(command.shown, said)
                assert fits, f"{where}printed:\n{said[-6000:]}\ninstead of:\n" + "\n".join(command.shown)
        if settings.python:
            program = session.notes / "page.py"
            program.write_text("\n".join("\n".join(block.lines) for block in pages.blocks(path)
                                         if block.language == "python" and not block.tag) + "\n")
            done = subprocess.run(["python", program], cwd=session.work, env=reader_env, capture_output=True, timeout=600)
            assert done.returncode == 0, f"{pages.name_of(path)}:\n{done.stderr.decode()[-4000:]}"


SHOWN_NOT_RUN = {"", "sh", "bash", "shell", "console"}
STARTS_A_COMMAND = re.compile(r"^(\$ |pomona |make |setup/|deploy/|spark-submit |pip |aws |curl |python3? |ninja |git )")


# How the proofs are made again: commands that take minutes to hours, each a target of the Makefile.
PROOFS = {"docs/benchmarks.md", "docs/benchmarks-peers.md", "docs/faults.md", "docs/fuzzing.md", "docs/scale.md"}


@pytest.mark.parametrize("path", [path for path in pages.all_pages() if pages.name_of(path) not in PROOFS], ids=pages.name_of)
def test_every_command_of_a_page_is_run_or_says_why_not(path):
    """A command stands in a console block, which is run, or says why it is not."""
    settings = pages.settings(path)
    for block in pages.blocks(path):
        where = f"{pages.name_of(path)}:{block.line}"
        if block.language == "console":
            assert all(line.strip() for line in block.lines[:1]) and block.lines[0].startswith("$ "), f"{where} has no command"
            if block.tag.startswith("not-run:"):
                assert len(block.tag.partition(":")[2].strip()) > 10, f"{where} does not say why it is not run"
            else:
                assert settings is not None, f"{where} is not run: the page lacks its comment `commands`"
                assert block.tag in ("", *settings.ways), f"{where}: {block.tag} is no way of this page"
        elif block.language in SHOWN_NOT_RUN and "/reference/" not in str(path):
            commands = [line for line in block.lines if STARTS_A_COMMAND.match(line)]
            assert not commands, f"{where} shows commands that no test runs: write it as a console block: {commands[0]}"


def test_what_is_shown_is_compared():
    assert pages.shows(["a ... c", "..."], "a b c\nmore\n") and pages.shows(["..."], "")
    assert pages.shows(["one", "...", "three"], "one\nthree\n") and pages.shows(["one", "...", "three"], "one\n2\nthree")
    assert not pages.shows(["a b"], "a b c") and not pages.shows(["one", "three"], "one\ntwo\nthree")


def test_a_page_with_a_false_word_is_found(reader_env, tmp_path):
    """The session tells a failing command, a wrong output and a background job that says something else."""
    with Session(tmp_path, reader_env) as session:
        assert session.run(pages.Command("cd /; false", 1, []))[0] == 1
        assert session.run(pages.Command("echo $?; pwd", 2, []))[1][0] == "1\n/\n"
        code, (out, _) = session.run(pages.Command("(sleep 0.2; echo ready; sleep 30) &", 3, ["ready"]))
        assert code == 0 and out == "ready\n"
        assert session.run(pages.Command("kill %%", 4, []))[0] == 0


def test_the_change_that_contributors_are_shown_still_fits(tmp_path):
    """The patch of CONTRIBUTING.md applies to the code as it is, and its test runs in the file that it names."""
    path = pages.ROOT / "CONTRIBUTING.md"
    [patch] = [block for block in pages.blocks(path) if block.language == "diff"]
    (tmp_path / "change.patch").write_text("\n".join(patch.lines) + "\n")
    file = tmp_path / "apps" / "cli" / "check.cc"
    file.parent.mkdir(parents=True)
    file.write_text((pages.ROOT / "apps" / "cli" / "check.cc").read_text())
    done = subprocess.run(["git", "apply", "--unsafe-paths", "--unidiff-zero", "--recount", "change.patch"], cwd=tmp_path,
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert "fail_on_rejects" in file.read_text()
    [test] = [block for block in pages.blocks(path) if block.language == "python"]
    names = set(re.findall(r"\b(make_photos|small)\(", "\n".join(test.lines)))
    imports = (pages.ROOT / "tests" / "test_engine_commands.py").read_text()
    assert all(re.search(rf"import .*\b{name}\b", imports) for name in names)
