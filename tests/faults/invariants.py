# SPDX-License-Identifier: Apache-2.0
"""What must hold whatever fails, looked at from outside: with pyarrow, json, hashlib and onnx, none of our own code."""
import hashlib
import json
import pathlib
import re

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from bench import Violation, require

RUN_ID = re.compile(r"-[0-9a-f]{16}(?=\.)")
PART = re.compile(r"part-(\d{5,})-([0-9a-f]{16})\.(snappy\.parquet|csv)")


def files(folder):
    """Every file below `folder` by its name, run ids taken out."""
    folder = pathlib.Path(folder)
    return {RUN_ID.sub("", p.relative_to(folder).as_posix()): p for p in sorted(folder.rglob("*")) if p.is_file()}


def datasets(folder):
    """Folders that hold a dataset, finished or not, by name."""
    folder = pathlib.Path(folder)
    found = {p.parent for p in folder.rglob("*") if p.name in ("_SUCCESS", "_run.json") or
             PART.fullmatch(p.name) and p.parent.name != "_rejects" and "_temporary" not in p.parts}
    return {p.relative_to(folder).as_posix(): p for p in found}


def read_part(path):
    if path.suffix == ".csv":
        return pyarrow.csv.read_csv(path)
    return pq.read_table(path)


class Dataset:
    """A dataset as others see it: all files whose names do not begin with _ or a dot are its rows."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.finished = (self.folder / "_SUCCESS").exists()
        self.files = sorted(p for p in self.folder.iterdir() if p.is_file() and not p.name.startswith(("_", ".")))
        self.tables = []
        for path in self.files:
            require(PART.fullmatch(path.name), f"{path} is taken for data, but is no part")
            try:
                self.tables.append(read_part(path))
            except Exception as error:
                raise Violation(f"{path} is taken for data, but cannot be read: {error}") from None
        rejects = sorted((self.folder / "_rejects").glob("*")) if (self.folder / "_rejects").is_dir() else []
        self.rejects = pa.concat_tables([pq.read_table(p) for p in rejects]).to_pylist() if rejects else []
        self.reject_files = [p.name for p in rejects]

    def rows(self, part=None):
        """path -> the row's values, vectors as bytes."""
        found = {}
        for path, table in zip(self.files, self.tables):
            if part is not None and path != part:
                continue
            for row in values(table):
                require(row[0] not in found, f"{self.folder}: {row[0]} is there twice")
                found[row[0]] = row[1:]
        return found

    def check_finished(self):
        """What `_SUCCESS` promises: the record names exactly the files that are there, with their checksums."""
        record = json.loads((self.folder / "_run.json").read_text())
        named = {p["file"]: p for p in record["parts"] if p["file"]}
        require(set(named) == {p.name for p in self.files},
                f"{self.folder}: recorded and there differ: {set(named) ^ {p.name for p in self.files}}")
        require({p["rejects_file"].split("/")[-1] for p in record["parts"] if p["rejects_file"]} ==
                set(self.reject_files), f"{self.folder}: recorded rejects are not those there")
        for path, table in zip(self.files, self.tables):
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            require(not named[path.name]["sha256"] or sha256 == named[path.name]["sha256"],
                    f"{path} has not the recorded checksum")
            require(table.num_rows == named[path.name]["rows"], f"{path} has not the recorded rows")
        counts = record.get("counts", {})
        rows = sum(t.num_rows for t in self.tables)
        if record["kind"] == "features":
            require(counts["listed"] == rows + len(self.rejects),
                    f"{self.folder}: {counts['listed']} listed, {rows} rows and {len(self.rejects)} rejects")
        require(not (self.folder / "_temporary").exists(), f"{self.folder}: _SUCCESS beside _temporary")
        return record


def values(table):
    """Rows as tuples that can be compared to the bit."""
    columns = []
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_fixed_size_list(column.type):
            matrix = np.asarray(column.flatten()).reshape(len(column), -1)
            columns.append([row.tobytes() for row in matrix])
        else:
            columns.append([repr(v) if isinstance(v, float) else v for v in column.to_pylist()])
    return list(zip(*columns)) if columns else []


def same_dataset(found, expected, what):
    a, b = Dataset(found), Dataset(expected)
    require(a.finished, f"{what}: {found} is not finished")
    a.check_finished()
    require([RUN_ID.sub("", p.name) for p in a.files] == [RUN_ID.sub("", p.name) for p in b.files],
            f"{what}: {found} is cut into other parts")
    for path, one, other in zip(a.files, a.tables, b.tables):
        require(one.schema.equals(other.schema), f"{what}: {path} has other columns")
        require(values(one) == values(other), f"{what}: rows of {path} are not the undisturbed ones to the bit")
    require(a.rejects == b.rejects, f"{what}: the rejects of {found} differ: {a.rejects} {b.rejects}")


def model_content(path):
    """Everything a model file computes with: nodes and weights, not its record of when and how fast."""
    import onnx
    model = onnx.load(path)
    onnx.checker.check_model(model)
    return model.graph.SerializeToString(deterministic=True)


def is_whole(path):
    """Raises where a file of ours, by its name, is not whole."""
    text = path.read_bytes()
    if path.name.endswith(".json"):
        json.loads(text)
    elif path.name.endswith(".jsonl"):
        for line in text.decode().splitlines():
            json.loads(line)
        require(not text or text.endswith(b"\n"), f"{path}: the last line is cut off")
    elif path.name.endswith(".html"):
        require(text.rstrip().endswith(b"</html>"), f"{path} is cut off")
    elif path.name.endswith(".onnx"):
        try:
            model_content(path)
        except Exception as error:
            raise Violation(f"{path} is no whole model: {error}") from None


# Not compared by bytes: they hold times, or (the sums) may cover fewer parts, which costs the next resume time only.
RECORDS = ("_run.json", "evaluation.json", "report.html", "_moments.bin")


def logged(path):
    """What a purge's log says went or was about to go. Of a line that was being written, half may be there."""
    found, broken = set(), 0
    for line in path.read_text().splitlines():
        try:
            entry = json.loads(line)
            found.add((entry.get("what") or entry["begins"], entry["place"]))
        except ValueError:
            broken += 1
    require(broken <= 1, f"{path}: {broken} lines are no JSON")
    return found


def same_file(found, expected):
    if found.name == "purge.log":
        return logged(found) == logged(expected)
    if found.name.endswith(".onnx"):
        return model_content(found) == model_content(expected)
    if found.name.endswith(".jsonl"):
        drop = ("finished", "invocation", "time", "date")
        lines = [[{k: v for k, v in json.loads(line).items() if k not in drop} for line in p.read_text().splitlines()]
                 for p in (found, expected)]
        return lines[0] == lines[1]
    if found.name in RECORDS:
        is_whole(found)
        return True
    return found.read_bytes() == expected.read_bytes()


def check_middle(place, states):
    """Right after a fault. `states`: folders that hold what may be there: what was before, what is to be."""
    place = pathlib.Path(place)
    for name, folder in datasets(place).items():
        dataset = Dataset(folder)
        allowed = [Dataset(s / name) for s in states if (s / name).is_dir()]
        if dataset.finished:
            dataset.check_finished()
            rows = dataset.rows()
            require(any(rows == other.rows() and dataset.rejects == other.rejects for other in allowed if other.finished),
                    f"{folder} has _SUCCESS, but is neither the old nor the new dataset ({len(rows)} rows)")
            continue
        known = [other.rows() for other in allowed]
        by_run = {}
        for path in dataset.files:
            seen = by_run.setdefault(PART.fullmatch(path.name)[2], {})
            for key, row in dataset.rows(path).items():
                require(key not in seen, f"{folder}: {key} stands twice in parts of one run")
                seen[key] = row
                require(any(rows.get(key) == row for rows in known), f"{path}: {key} is not what the photo gives")
    for name, path in files(place).items():
        if "_temporary" in path.parts or PART.fullmatch(path.name) or path.name.endswith(".tmp"):
            continue
        others = [s / name for s in states if (s / name).exists()]
        is_whole(path)
        if path.name in ("_SUCCESS", "_run.json", "_moments.bin", "purge.log"):
            continue
        require(others, f"{path} is neither of the old nor of the new results")
        require(any(same_file(path, other) for other in others), f"{path} is neither the old file nor the new one")


def check_end(place, expected):
    """After the fault is over and the command was run again: the undisturbed results, and nothing beside them."""
    place, expected = pathlib.Path(place), pathlib.Path(expected)
    # Killed between a file's naming and its renaming over the old one: NAME.<number>.tmp, which nothing reads.
    there = {name: path for name, path in files(place).items() if not re.fullmatch(r".+\.\d+\.tmp", name)}
    wanted = files(expected)
    require(set(there) == set(wanted), f"{place}: beside the undisturbed results there are "
            f"{sorted(set(there) - set(wanted))}, missing are {sorted(set(wanted) - set(there))}")
    for name, folder in datasets(expected).items():
        same_dataset(place / name, folder, "after the command was run again")
    for name, path in there.items():
        if not PART.fullmatch(path.name):
            require(same_file(path, wanted[name]), f"{path} is not the undisturbed one")
