# SPDX-License-Identifier: Apache-2.0
"""The driver of a job on Spark: it schedules, publishes what tasks finished, and keeps the record. Its memory is a
record per part of the dataset; it never holds a photo or a vector."""
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pomona
from pomona._core import distributed

from .tasks import Stage

PUBLISHERS = 16  # parts moved into place at a time


def failure(message, code):
    error = pomona.Error(message)
    error.code = code
    return error


class Progress:
    """One line on stderr while a stage runs: redrawn on a terminal, else every few seconds."""

    def __init__(self, title, tasks, group, context, counters, samples, quiet):
        self.title, self.tasks, self.group, self.context = title, tasks, group, context
        self.counters, self.samples, self.quiet = counters, samples, quiet
        self.begin = time.time()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _done(self):
        tracker = self.context.statusTracker()
        done = 0
        for job in tracker.getJobIdsForGroup(self.group):
            info = tracker.getJobInfo(job)
            for stage in info.stageIds if info else ():
                stage_info = tracker.getStageInfo(stage)
                done += stage_info.numCompletedTasks if stage_info else 0
        return done

    def _watch(self):
        terminal, next_line = sys.stderr.isatty(), 1.0
        while not self.stop.wait(0.2 if terminal else 0.5):
            seconds = time.time() - self.begin
            photos = self.counters[0].value if self.counters else 0
            if self.counters:
                self.samples.append((time.time(), photos))
            if self.quiet or (not terminal and seconds < next_line):
                continue
            try:
                line = f"{self.title}  {self._done()} of {self.tasks} tasks"
            except Exception:  # the gateway is closing: the job's own error will say why
                return
            if photos:
                line += f"  {photos:,} photos  {photos / seconds:.0f}/s"
                if self.counters[1].value:
                    line += f"  {self.counters[1].value:,} rejected"
            print(f"\r\033[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)
            next_line = seconds + 5
        if terminal and not self.quiet:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


class Engine:
    """Runs one job (as `pomona --engine spark` writes it) in a Spark session. `partitions`: tasks per stage at the
    most; None: a task per part. run() gives the counts; throws pomona.Error."""

    def __init__(self, spark, job, partitions=None, quiet=False):
        self.spark, self.context, self.partitions, self.quiet = spark, spark.sparkContext, partitions, quiet
        self.job = job
        self.text = json.dumps(job)
        self.begin = time.time()
        self.spans, self.samples, self.lanes = [], [], {}
        self.id = uuid.uuid4().hex
        self.folder = None
        self.result = {"warnings": [], "notes": []}
        self.threads = (job.get("featurize") or job.get("reduce"))["threads"]

    # What every step needs.

    def _ship(self):
        self.shipment = json.loads(distributed.plan_shipment(self.text))
        self.folder = tempfile.mkdtemp(prefix="pomona-")
        path = os.path.join(self.folder, f"pomona-{self.id}.shipment")  # Spark would unpack a .tar by itself
        with tarfile.open(path, "w", dereference=True) as tar:
            for file in self.shipment.pop("files"):
                tar.add(file["path"], file["name"])
            for text in self.shipment.pop("texts"):
                data = text["text"].encode()
                info = tarfile.TarInfo(text["name"])
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        with open(path, "rb") as file:
            self.sha256 = hashlib.sha256(file.read()).hexdigest()
        self.archive = os.path.basename(path)
        self.context.addFile(path)

    def _map(self, name, call, tasks, counters=None, partitions=None, executors_show=True):
        """Runs `call` for every task on the executors; the answers, in order of tasks."""
        if not tasks:
            return []
        count = min(partitions or self.partitions or len(tasks), len(tasks))
        stage = Stage(call, tasks, job_id=self.id, shipment=json.dumps(self.shipment), archive=self.archive,
                      sha256=self.sha256, threads=self.threads, counters=counters)
        group = f"pomona-{self.id}-{call}"
        self.context.setJobGroup(group, f"pomona: {name}", interruptOnCancel=True)
        self.context.setLocalProperty("callSite.short", name)
        began = time.time()
        try:
            with Progress(name, count, group, self.context, counters, self.samples, self.quiet):
                frame = self.spark.range(0, len(tasks), 1, count).mapInArrow(stage, "answer string")
                answers = [json.loads(row.answer) for row in frame.collect()]
        finally:
            self.context.setLocalProperty("callSite.short", None)
        answers.sort(key=lambda answer: answer["number"])
        for answer in answers:
            if "error" in answer:
                raise failure(answer["error"], answer["code"])
        self._span(call, began, time.time(), "driver")
        if executors_show:
            for answer in answers:
                self._span(call, answer["began"], answer["ended"], self._lane(answer))
        return answers

    def _lane(self, answer):
        executor = self.lanes.setdefault((answer["host"], answer["executor"]), [])
        if answer["worker"] not in executor:
            executor.append(answer["worker"])
        number = list(self.lanes).index((answer["host"], answer["executor"])) + 1
        return f"executor {number}, {answer['host']}, worker {executor.index(answer['worker']) + 1}"

    def _span(self, stage, began, ended, lane):
        self.spans.append({"stage": stage, "begin": round(max(began - self.begin, 0), 3),
                           "end": round(max(ended - self.begin, 0), 3), "lane": lane})

    def _publish(self, place, run_id, answers):
        began = time.time()
        staged = [json.dumps({"staged": a["staged"], "record": a["record"]}) for a in answers if a["staged"]]
        with ThreadPoolExecutor(PUBLISHERS) as pool:
            list(pool.map(lambda one: distributed.publish(place, run_id, one), staged))
        self._span("publish", began, time.time(), "driver")

    def _more(self):
        conf = self.context.getConf()
        return {"versions": {"Spark": self.context.version},
                "engine": {"name": "spark", "spark": self.context.version, "master": self.context.master,
                           "application": self.context.applicationId, "slots": self.context.defaultParallelism,
                           "task_cpus": int(conf.get("spark.task.cpus", "1")),
                           "executors": [{"host": host, "python_workers": len(workers)}
                                         for (host, _), workers in self.lanes.items()]}}

    # The steps.

    def run(self):
        try:
            self._run()
            self.result["seconds"] = time.time() - self.begin
            return self.result
        finally:
            if self.folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self):
        self._ship()
        if self.job["kind"] == "reduce":
            self._reduce()
            return
        self._featurize()
        if "reduce" in self.job and self.result["features"]["written"]:
            self._reduce()
            if "conclude" in self.job:
                self.result["concluded"] = self._map("model and report", "conclude", [None])[0]
                self.result["warnings"] += self.result["concluded"].pop("warnings")
                self.result["notes"] += self.result["concluded"].pop("notes")

    def _featurize(self):
        options, place = self.job["featurize"], self.job["features"]
        slots = max(self.context.defaultParallelism, 1)
        prepared = self._map("open the network", "prepare", [number == 0 for number in range(slots)], partitions=slots)
        facts = prepared[0]
        for other in prepared[1:]:
            if other["fingerprint"] != facts["fingerprint"]:
                precisions = sorted({p["fingerprint"]["precision"] for p in prepared})
                raise failure(f"the executors would not make the same vectors: their CPUs take {' and '.join(precisions)}. "
                              f"Give --precision f32.", "mismatch")
        begun = json.loads(distributed.begin_features(self.text, json.dumps(facts)))
        run_id = begun["run_id"]
        if begun["adopted"]:
            self.result["notes"].append(f"{begun['adopted']} parts that an earlier run finished were taken over")

        units = json.loads(distributed.plan_listing(self.text, run_id, max(16, 4 * slots)))
        self.result["warnings"] += [unit["warning"] for unit in units if unit.get("warning")]
        open_units = [n for n, unit in enumerate(units) if "chunk" not in unit]
        listed = self._map(f"list {len(open_units)} folders", "list",
                           [{"run_id": run_id, "unit": units[n]} for n in open_units],
                           partitions=self.partitions or 4 * slots)
        for n, chunk in zip(open_units, listed):
            units[n] = chunk
        parts = json.loads(distributed.cut_parts(self.text, json.dumps(units), facts["photos_per_part"]))
        photos = sum(part["count"] for part in parts)
        if len(parts) < slots:
            self.result["notes"].append(
                f"{photos:,} photos make {len(parts)} part{'s' if len(parts) > 1 else ''}, so {slots - len(parts)} of "
                f"{slots} slots had nothing to do. --rows-per-file {max(photos // (4 * slots), 64)} makes more.")

        counters = tuple(self.context.accumulator(0) for _ in range(3))
        self.samples = [(time.time(), 0)]
        results = self._map(f"featurize {photos:,} photos", "featurize",
                            [{"run_id": run_id, "file_id": begun["file_id"], "schema": begun["schema"],
                              "fingerprint": facts["fingerprint"], "known": begun["known"] > 0, "part": part}
                             for part in parts], counters)
        self._publish(place, run_id, results)
        unfit = None
        if self.job["fit"] and results[0]["moments"]:
            written = sum(result["record"]["rows"] for result in results)
            try:
                if written:
                    self._fit(place, run_id, [result["moments"] for result in results],
                              {"fingerprint": facts["fingerprint"], "features": begun["place"], "rows": written},
                              self.job["reduce"]["save_pca"])
            except pomona.Error as error:  # the features are whole all the same
                unfit = error
        for result in results:
            result["began"] -= self.begin
        finished = json.loads(distributed.finish_features(self.text, json.dumps({
            "facts": facts, "run_id": run_id, "schema": begun["schema"], "header": begun["header"],
            "record": self.shipment["record"], "results": results, "seconds": time.time() - self.begin,
            "timeline": self.spans, "rate": self._rate(), "more": self._more()})))
        self.result["warnings"] += finished.pop("warnings")
        self.result["features"] = finished
        self.result["counters"] = dict(zip(("photos", "rejected", "bytes"), (counter.value for counter in counters)))
        changed = finished.pop("changed") or options["overwrite"]
        if self.job["kind"] == "run":
            results_place = self.job["results"]
            self.result["notes"] += json.loads(distributed.drop_older_model(results_place, changed))
            if changed:  # before anything of the new ones can fail
                distributed.drop_older_reduced(results_place)
        if unfit:
            raise unfit

    def _rate(self):
        step = max(len(self.samples) // 400, 1)
        return [[round(at - self.begin, 3), done] for at, done in self.samples[::step]]

    def _fit(self, place, run_id, files, record, output):
        """Sums moments by a tree whose shape depends on the number of files alone, then fits the PCA."""
        while len(files) > distributed.FAN_IN:
            groups = [files[n:n + distributed.FAN_IN] for n in range(0, len(files), distributed.FAN_IN)]
            files = [answer["answer"] for answer in self._map(
                f"sum the moments of {len(files)} parts", "merge",
                [{"place": place, "run_id": run_id, "files": group} for group in groups])]
        return self._map("fit the PCA", "fit", [{"job": self.text, "place": place, "files": files, "record": record,
                                                 "output": output}])[0]

    def _reduce(self):
        options = self.job["reduce"]
        began = time.time()
        stages = {}
        begun = json.loads(distributed.begin_reduced(self.text))
        run_id = begun["run_id"]
        output = begun["fitted"]
        if "pca" not in options:
            if not begun["moments"]:
                self._fit(options["dest"], run_id, [], begun["record"], output)
            elif self.job["fit"]:
                output = options["save_pca"]
            else:
                tasks = [{"place": options["dest"], "run_id": run_id, "schema": begun["schema"], "record": part}
                         for part in begun["parts"]]
                sums = self._map(f"moments of {begun['rows']:,} rows", "part_moments", tasks)
                stages["moments"] = time.time() - began
                self._fit(options["dest"], run_id, [answer["moments"] for answer in sums], begun["record"], output)
                stages["fit"] = time.time() - began - stages["moments"]
        placed = json.loads(distributed.place_pca(self.text, run_id, output))
        self.result["warnings"] += placed["warnings"]
        mapped = time.time()
        results = self._map(f"reduce {begun['rows']:,} rows to {placed['k']} components", "reduce",
                            [{"run_id": run_id, "schema": begun["schema"], "record": part, "index": index}
                             for index, part in enumerate(begun["parts"])])
        self._publish(options["dest"], run_id, results)
        stages["reduce"] = time.time() - mapped
        self.result["reduced"] = json.loads(distributed.finish_reduced(self.text, json.dumps({
            "run_id": run_id, "results": results, "seconds": time.time() - began, "stages": stages,
            "more": {**self._more(), "timeline": self.spans}})))
