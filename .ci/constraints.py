"""Writes constraints.txt anew: the newest releases that fit, each with the hash of its file.

    .venv/bin/python .ci/constraints.py

Run it with the Python and on the system that .ci/run has: another one would take other files.
"""

import json
import subprocess
import sys
from pathlib import Path

HEAD = """\
# What .ci/run tests with: Python 3.11, Linux on x86-64, CPU builds of torch. To install the same:
#   pip install --require-hashes --requirement constraints.txt
#   pip install --no-build-isolation --no-deps --editable .
"""
BUILD = ("hatchling", "editables")
"""What the second command needs, as it may not fetch anything."""

root = Path(__file__).parents[1]
command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
report = subprocess.check_output(
    [*command, "--report", "-", f"{root}[dev,docs]", *BUILD], text=True
)
lines = []
for item in json.loads(report)["install"]:
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    if hashes := item["download_info"].get("archive_info", {}).get("hashes"):
        release = version.partition("+")[0]  # the hash says which build it is
        lines.append(f"{name}=={release} --hash=sha256:{hashes['sha256']}\n")
(root / "constraints.txt").write_text(HEAD + "".join(sorted(lines, key=str.lower)))
