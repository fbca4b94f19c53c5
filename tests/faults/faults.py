# SPDX-License-Identifier: Apache-2.0
"""All faults by name: name -> (inject(bench, random), weight, slow)."""
import faults_store  # noqa: F401  (adds its own)
from faults_local import FAULTS

__all__ = ["FAULTS"]
