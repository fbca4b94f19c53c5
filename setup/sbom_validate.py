# SPDX-License-Identifier: Apache-2.0
"""sbom_validate.py CYCLONEDX.json SPDX.json: both against their official rules; exit 1 with what is wrong. Run by .venv-sbom's
python."""
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(pathlib.Path(sys.argv[1]).read_text())
if wrong:
    sys.exit(f"{sys.argv[1]} is no CycloneDX 1.6: {wrong}")
messages = validate_full_spdx_document(parse_file(sys.argv[2]))
if messages:
    sys.exit(f"{sys.argv[2]} is no SPDX 2.3:\n" + "\n".join(m.validation_message for m in messages[:20]))
print("valid CycloneDX 1.6, valid SPDX 2.3")
