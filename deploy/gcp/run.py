# SPDX-License-Identifier: Apache-2.0
"""The job Dataproc runs on the primary node: the command, with what stands behind `--`."""
import subprocess
import sys

sys.exit(subprocess.run(["/usr/local/bin/pomona", "run", *sys.argv[1:], "--engine", "spark", "--master", "yarn"]).returncode)
