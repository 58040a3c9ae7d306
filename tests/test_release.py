"""What a release has: one version everywhere, and all that users need in what is built."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_citation_and_changelog_are_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert (cited["version"], str(cited["date-released"])) == newest.groups()
    assert cited["version"] == VERSION


def test_wheel_and_source_have_what_they_should(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    source = ROOT / "src"
    kept = subprocess.run(
        ["git", "ls-files", "--others", "--cached", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    package = {str((ROOT / name).relative_to(source)) for name in kept if name.startswith("src/")}
    with zipfile.ZipFile(tmp_path / f"plastorch-{VERSION}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    described = f"plastorch-{VERSION}.dist-info"
    assert {name for name in names if not name.startswith(described)} == package
    assert {f"{described}/licenses/LICENSE", f"{described}/entry_points.txt"} <= names
    with tarfile.open(tmp_path / f"plastorch-{VERSION}.tar.gz") as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {name for name in kept if (ROOT / name).exists()} <= names
