# SPDX-License-Identifier: Apache-2.0
"""Each file of deploy/ passes a tool that knows its format; the scripts do what they say against recorded clients."""
import json
import os
import pathlib
import re
import subprocess

import pytest
from places import ROOT

DEPLOY, BIN = ROOT / "deploy", ROOT / ".venv-deploy" / "bin"
CHECK = pathlib.Path(__file__).with_name("check.py")
pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not (BIN / "cfn-lint").exists(), reason=".venv-deploy is not there: run setup/deploy.sh")]

# File below deploy/ -> what checks it. {} is the file.
YAML_RULES = ("{extends: default, rules: {line-length: {max: 160}, document-start: disable, braces: {max-spaces-inside: 1}, "
              "comments: {min-spaces-from-content: 1}}}")
TOOLS = {
    "aws/emr.yaml": [["cfn-lint", "{}"], ["yamllint", "-s", "-d", YAML_RULES, "{}"]],
    "aws/ec2.yaml": [["cfn-lint", "{}"], ["yamllint", "-s", "-d", YAML_RULES, "{}"]],
    "aws/s3-policy.json": [["iam"]],
    "aws/lifecycle.json": [["lifecycle"]],
    "gcp/autoscaling.yaml": [["dataproc"], ["yamllint", "-s", "-d", YAML_RULES, "{}"]],
    "databricks/cluster-aws.json": [["databricks"]],
    "databricks/cluster-azure.json": [["databricks"]],
    "kubernetes/Containerfile": [["hadolint", "{}"]],
    "kubernetes/namespace.yaml": [["kubernetes-validate", "--strict", "{}"], ["yamllint", "-s", "-d", YAML_RULES, "{}"]],
    "kubernetes/spark-application.yaml": [["sparkapplication"], ["yamllint", "-s", "-d", YAML_RULES, "{}"]],
}
KINDS = {"iam", "lifecycle", "dataproc", "databricks", "sparkapplication"}


def check(tool, file):
    """What the tool has to say about the file; empty = good."""
    words = ([BIN / "python", CHECK, tool[0], file] if tool[0] in KINDS
             else [BIN / tool[0], *(word.replace("{}", str(file)) if word == "{}" else word for word in tool[1:])])
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    if done.returncode == 0 and tool[0] == "kubernetes-validate":
        return ""
    return said or (f"exit {done.returncode}" if done.returncode else "")


def test_every_file_has_its_checker():
    known = set(TOOLS)
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.parent.name in ("aws", "gcp", "databricks", "kubernetes") and path.suffix not in (".sh", ".py", ".pyc"):
            assert path.relative_to(DEPLOY).as_posix() in known, f"nothing checks {path}"


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_file_passes(name):
    for tool in TOOLS[name]:
        assert check(tool, DEPLOY / name) == ""


# What each tool must not let through: (file, old, new).
FAULTS = [
    ("aws/emr.yaml", "IdleTimeout: !Ref IdleSeconds", "IdleTimout: !Ref IdleSeconds"),
    ("aws/ec2.yaml", "!Ref Launch,", "!Ref Lunch,"),
    ("aws/s3-policy.json", "s3:ListBucket", "s3:ListBuckets"),
    ("aws/lifecycle.json", '"Days": 365', '"Days": "a year"'),
    ("gcp/autoscaling.yaml", "scaleUpFactor", "scaleUpFaktor"),
    ("databricks/cluster-aws.json", "autotermination_minutes", "autotermination_minuten"),
    ("kubernetes/Containerfile", "pip install --no-cache-dir", "cd /tmp && pip install"),
    ("kubernetes/namespace.yaml", "podSelector: {}\n  policyTypes", "podSelektor: {}\n  policyTypes"),
    ("kubernetes/spark-application.yaml", "maxExecutors", "maximumExecutors"),
]


@pytest.mark.parametrize("name,old,new", FAULTS, ids=[fault[0] for fault in FAULTS])
def test_checker_finds_a_fault(name, old, new, tmp_path):
    text = (DEPLOY / name).read_text()
    assert old in text
    wrong = tmp_path / pathlib.Path(name).name
    wrong.write_text(text.replace(old, new, 1))
    assert any(check(tool, wrong) for tool in TOOLS[name])


def test_shell_scripts_pass_shellcheck(tmp_path):
    inside = tmp_path / "user-data.sh"
    inside.write_text(subprocess.run([BIN / "python", CHECK, "userdata", DEPLOY / "aws/ec2.yaml"], capture_output=True,
                                     text=True, check=True).stdout)
    assert inside.read_text().startswith("#!/usr/bin/env bash\n")
    scripts = [path for path in sorted(DEPLOY.rglob("*.sh"))]
    assert len(scripts) >= 6
    done = subprocess.run([BIN / "shellcheck", *scripts, inside], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert all(os.access(script, os.X_OK) for script in scripts)


def test_rights_are_what_a_run_needs_and_no_more():
    statements = {s["Sid"]: s for s in json.loads((DEPLOY / "aws/s3-policy.json").read_text())["Statement"]}
    for name, statement in statements.items():
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert not any("*" in action for action in actions), name
        if "PHOTOS" in statement["Resource"]:
            assert set(actions) <= {"s3:GetObject", "s3:ListBucket"}, name
    template = (DEPLOY / "aws/emr.yaml").read_text()
    # The template's own copy grants the same actions.
    def granted(text):
        return set(re.findall(r"s3:[A-Z][A-Za-z]+", text))
    assert granted(template) == granted(json.dumps(statements))
    for name in ("aws/emr.yaml", "aws/ec2.yaml"):
        text = (DEPLOY / name).read_text()
        assert "0.0.0.0/0" not in text and "::/0" not in text and "KeyName" not in text


@pytest.fixture
def recorded(tmp_path):
    """Runs a script with `aws`, `gcloud` and `sleep` that only write down what they are asked. `states` of a step of EMR
    are told one after another."""
    calls, states = tmp_path / "calls", tmp_path / "states"
    for name in ("aws", "gcloud", "sleep"):
        client = tmp_path / "bin" / name
        client.parent.mkdir(exist_ok=True)
        client.write_text("""#!/usr/bin/env python3
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv) + "\\n")
words = " ".join(sys.argv)
if "describe-step" in words:
    state, _, rest = open(os.environ["STATES"]).read().partition(" ")
    open(os.environ["STATES"], "w").write(rest)
    print(state)
elif "sleep" not in sys.argv[0]:
    print("j-CLUSTER" if "ClusterId" in words else "s-STEP" if "add-steps" in words else "s3://a/logs/" if "LogUri" in words else "")
""")
        client.chmod(0o755)

    def run(script, *words, code=0, told="COMPLETED"):
        calls.unlink(missing_ok=True)
        states.write_text(told)
        env = dict(os.environ, PATH=f"{tmp_path}/bin:{os.environ['PATH']}", CALLS=str(calls), STATES=str(states))
        done = subprocess.run([DEPLOY / script, *words], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert done.returncode == code, done.stderr
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [json.loads(line)[1:] for line in lines], done
    return run


def test_emr_goes_up_runs_and_goes_down(recorded, tmp_path):
    settings = ["Vpc=v", "Subnet=s", "PhotosBucket=p", "ResultsBucket=r", "ArtifactsBucket=a"]
    calls, done = recorded("aws/emr.sh", "up", "stack", *settings, code=1)
    assert not calls and "pomona package --target emr" in done.stderr  # says how to make what is missing
    (tmp_path / "pomona-env.tar.gz").touch()
    calls, _ = recorded("aws/emr.sh", "up", "stack", *settings)
    assert [call[-1] for call in calls[:2]] == ["s3://a/pomona-artifacts/pomona-env.tar.gz", "s3://a/pomona-artifacts/emr-bootstrap.sh"]
    assert calls[2][:2] == ["cloudformation", "deploy"] and calls[2][-5:] == settings

    odd = "s3://photos/it's a \"prefix\", with [all]"
    calls, _ = recorded("aws/emr.sh", "run", "stack", odd, "s3://results", "--limit", "10")
    step = json.loads(calls[1][calls[1].index("--steps") + 1])[0]
    assert step["Args"] == ["pomona", "run", odd, "s3://results", "--limit", "10", "--engine", "spark", "--master", "yarn"]

    # A job may take any time, and one that fails says where its log is.
    calls, _ = recorded("aws/emr.sh", "run", "stack", "s3://p", "s3://r", told="PENDING " + "RUNNING " * 20 + "COMPLETED")
    assert len([call for call in calls if call[:2] == ["emr", "describe-step"]]) == 22
    for state in ("FAILED", "CANCELLED", "INTERRUPTED"):
        _, done = recorded("aws/emr.sh", "run", "stack", "s3://p", "s3://r", told=f"RUNNING {state}", code=1)
        assert f"ended as {state}" in done.stderr and "s3://a/logs/j-CLUSTER/steps/s-STEP/" in done.stderr

    calls, _ = recorded("aws/emr.sh", "down", "stack")
    assert [call[:2] for call in calls] == [["cloudformation", "delete-stack"], ["cloudformation", "wait"]]
    for wrong in ([], ["up", "stack"], ["fly", "stack"]):
        calls, done = recorded("aws/emr.sh", *wrong, code=2)
        assert not calls and "emr.sh up" in done.stderr


def test_a_machine_that_fails_early_leaves_its_log(tmp_path):
    """The script of ec2.yaml with clients that write down what they are asked, and nothing to install from."""
    text = subprocess.run([BIN / "python", CHECK, "userdata", DEPLOY / "aws/ec2.yaml"], capture_output=True, text=True,
                          check=True).stdout
    log = tmp_path / "pomona.log"
    clients = {"dnf": "echo no such package; exit 1", "aws": f'echo "$@" >>{tmp_path}/asked; cp {log} {tmp_path}/sent',
               "poweroff": f"echo poweroff >>{tmp_path}/asked", "shutdown": "true"}
    (tmp_path / "bin").mkdir()
    for name, words in clients.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{words}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    done = subprocess.run(["bash", "-c", text.replace("/var/log/pomona.log", str(log))], timeout=30,
                          env={**os.environ, "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, capture_output=True)
    assert done.returncode == 1
    assert (tmp_path / "asked").read_text().splitlines()[1:] == ["poweroff"]
    assert "no such package" in (tmp_path / "sent").read_text()


def test_dataproc_goes_up_runs_and_goes_down(recorded, tmp_path):
    (tmp_path / "pomona-env.tar.gz").touch()
    calls, _ = recorded("gcp/dataproc.sh", "up", "c", "europe-west3", "gs://a/", "account@project")
    created = next(call for call in calls if call[:3] == ["dataproc", "clusters", "create"])
    assert {"--max-idle", "--max-age", "--no-address"} <= set(created)
    assert created[created.index("--initialization-actions") + 1] == "gs://a/init.sh"
    calls, _ = recorded("gcp/dataproc.sh", "run", "c", "europe-west3", "gs://photos", "gs://results")
    assert calls[0][-3:] == ["--", "gs://photos", "gs://results"]
    calls, _ = recorded("gcp/dataproc.sh", "down", "c", "europe-west3")
    assert calls == [["dataproc", "clusters", "delete", "c", "--region", "europe-west3", "--quiet"]]


def test_everything_that_goes_up_ends_when_idle():
    assert "AutoTerminationPolicy" in (DEPLOY / "aws/emr.yaml").read_text()
    assert "InstanceInitiatedShutdownBehavior: terminate" in (DEPLOY / "aws/ec2.yaml").read_text()
    for cloud in ("aws", "azure"):
        assert 0 < json.loads((DEPLOY / f"databricks/cluster-{cloud}.json").read_text())["autotermination_minutes"] <= 60


def test_readme_names_every_file():
    readme = (DEPLOY / "README.md").read_text()
    for name in [*TOOLS, *(path.relative_to(DEPLOY).as_posix() for path in DEPLOY.rglob("*.sh"))]:
        assert pathlib.Path(name).name in readme, name
    for link in re.findall(r"\]\(([^)#]+)\)", readme):
        assert link.startswith("http") or (DEPLOY / link).exists(), link
