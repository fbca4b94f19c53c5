# SPDX-License-Identifier: Apache-2.0
"""Run by .venv-deploy: `check.py KIND FILE` prints what is wrong with FILE as who knows KIND sees it; nothing = nothing."""
import json
import pathlib
import sys
import warnings

import yaml

warnings.simplefilter("ignore")


def iam(text):
    from parliament import analyze_policy_string
    return [str(finding) for finding in analyze_policy_string(text).findings]


def databricks(text):
    from databricks.sdk.service.compute import ClusterSpec
    given = json.loads(text)
    name = given.pop("cluster_name")
    # What it does not know is lost, and what is of another type fails.
    understood = ClusterSpec.from_dict(given).as_dict()
    lost = [f"{key}: {value!r} is understood as {understood.get(key)!r}" for key, value in given.items() if understood.get(key) != value]
    return lost + ([] if name else ["no name"])


def dataproc(text):
    from google.cloud.dataproc_v1 import AutoscalingPolicy
    from google.protobuf.json_format import ParseDict
    policy = AutoscalingPolicy()
    ParseDict(yaml.safe_load(text), policy._pb)
    return [] if policy.worker_config.max_instances else ["no workers"]


def lifecycle(text):
    import botocore.session
    from botocore.validate import ParamValidator
    model = botocore.session.get_session().get_service_model("s3").operation_model("PutBucketLifecycleConfiguration")
    report = ParamValidator().validate({"Bucket": "b", "LifecycleConfiguration": json.loads(text)}, model.input_shape)
    return [report.generate_report()] if report.has_errors() else []


def sparkapplication(text):
    import jsonschema
    schema = json.loads(pathlib.Path(__file__).with_name("sparkapplication.schema.json").read_text())
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in
            jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(text))]


def userdata(text):
    """The script inside of a CloudFormation template, its parameters filled in."""
    found = text.partition("Fn::Base64: !Sub |\n")[2].splitlines()
    lines = [line[10:] for line in found if line.startswith(" " * 10)]
    import re
    print(re.sub(r"\$\{[A-Za-z:]+\}", "1", "\n".join(lines)))
    return []


if __name__ == "__main__":
    for problem in globals()[sys.argv[1]](pathlib.Path(sys.argv[2]).read_text()):
        print(problem)
