# SPDX-License-Identifier: Apache-2.0
"""All faults by name: name -> (inject(bench, random), weight, slow)."""
import faults_server  # noqa: F401  (each adds its own)
import faults_spark  # noqa: F401
import faults_store  # noqa: F401
import faults_two  # noqa: F401
from faults_local import FAULTS

__all__ = ["FAULTS"]
