# SPDX-License-Identifier: Apache-2.0
"""A type's name stands for one type in the whole program: of two, the linker keeps one's functions for both, and
neither compiler nor linker says so."""
import collections
import re

from places import ROOT

NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)
# `namespace a::b {`, `struct Name ... {` (not `struct Outer::Name {`), any other `{`, and `}`.
BRACE = re.compile(r"namespace\s*([\w:]*)\s*\{|\b(?:struct|class|union|enum)\s+(?:class\s+)?(\w+)(?!\w|\s*::)[^;{}()]*\{|\{|\}")


def types(text):
    """Full names of the types that are defined in `text` for others to see."""
    around = []  # of each open brace: the namespace's name, or None
    for found in BRACE.finditer(NOT_CODE.sub(" ", text)):
        if found[0] == "}":
            if around:
                around.pop()
        elif found[0].startswith("namespace"):
            around.append(found[1])
        else:
            if found[2] and all(around):  # an unnamed namespace is the file's own
                yield "::".join([*around, found[2]])
            around.append(None)


def test_the_parser_sees_what_it_should():
    text = """namespace a { struct B final : C { enum D { kE }; }; namespace { struct F {}; }  // struct G {
              struct B::Impl { int i{}; }; enum class H : int { kI }; template <typename T> class J { void f() { struct K {}; } };
              struct L* one; auto s = "struct M {"; }"""
    assert list(types(text)) == ["a::B", "a::H", "a::J"]


def test_no_two_types_share_a_name():
    places = collections.defaultdict(set)
    for folder in ("src", "apps", "python/src", "tests/fuzz"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".h", ".cc"):
                for name in types(file.read_text()):
                    places[name].add(str(file.relative_to(ROOT)))
    assert len(places) > 200
    assert {name: sorted(files) for name, files in places.items() if len(files) > 1} == {}
