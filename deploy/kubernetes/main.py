# SPDX-License-Identifier: Apache-2.0
"""The application of the driver's pod: the command, with the arguments of the manifest. The session that
spark-submit has prepared is taken over: PYSPARK_GATEWAY_PORT names it, and is inherited."""
import os
import subprocess
import sys

master = os.environ.get("POMONA_SPARK_MASTER", "k8s://https://kubernetes.default.svc:443")
sys.exit(subprocess.run(["pomona", *sys.argv[1:], "--engine", "spark", "--master", master]).returncode)
