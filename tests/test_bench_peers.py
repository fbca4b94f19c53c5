# SPDX-License-Identifier: Apache-2.0
"""`make bench-peers` in its short mode: what it measures, tells and draws."""
import json
import os
import subprocess

import pytest
from places import BUILD, ROOT

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PARTS = ["ours", "handwritten"]


@pytest.mark.slow
def test_quick_run_measures_checks_and_draws(tmp_path, pomona):
    if not PYTHON.exists():
        pytest.skip("Daft, Ray and the others are not here: setup/peers.sh")
    results = tmp_path / "results.json"
    words = [PYTHON, ROOT / "bench/peers/run.py", "--quick", "--photos", "160", "--only", ",".join(PARTS), "--work",
             tmp_path / "work", "--results", results]
    environment = {**os.environ, "POMONA_BIN": pomona.path, "POMONA_BUILD": str(BUILD)}

    def run():
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    told = run()
    measured = json.loads(results.read_text())["measurements"]
    assert [(one["part"], one["photos"]) for one in measured] == [(part, count) for part in PARTS for count in (48, 160)]
    for one in measured:
        assert one["processor_seconds"] > 0.1 and one["peak_mib"] > 50
    # The same photos, network and PCA: so is what the components hold.
    ours, theirs = (next(one["variance"] for one in measured if (one["part"], one["photos"]) == (part, 160)) for part in PARTS)
    assert ours == pytest.approx(theirs, rel=0.03)
    assert "openvino" in told and "pomona" in told

    run()  # everything is there: nothing is measured twice
    assert json.loads(results.read_text())["measurements"] == measured

    # The figures are made of what was measured; seconds are set here, since those of so few photos say nothing.
    changed = json.loads(results.read_text())
    for one in changed["measurements"]:
        one["seconds"] = 1 + one["photos"] / {"ours": 400, "handwritten": 200}[one["part"]]
    results.write_text(json.dumps(changed))
    docs = tmp_path / "docs"
    drawn = subprocess.run([PYTHON, ROOT / "bench/peers/plot.py", results, "--docs", docs], capture_output=True, text=True)
    assert drawn.returncode == 0, drawn.stderr
    assert "| Pomona over Python by hand (Pillow) | 2.00 | 1.6: yes |" in drawn.stdout
    assert (docs / "figures" / "peers.svg").read_text().count("<svg") == 1
