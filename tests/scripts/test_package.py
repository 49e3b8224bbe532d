"""The package that pip installs holds everything that the program needs, and a checkout's pinned versions fit it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.version import Version

from tests.scripts.conftest import ROOT

PINNED = {
    name.lower().replace("_", "-"): Version(version)
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of a wheel that was built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("brokertuner_tui", "themes"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*build, "-w", str(folder), str(source)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_every_module_and_every_data_file_is_in_the_wheel(installed: Path) -> None:
    package = ROOT / "brokertuner_tui"
    wanted = {
        str(path.relative_to(ROOT))
        for pattern in ("**/*.py", "**/*.tcss", "**/*.toml", "py.typed")
        for path in package.glob(pattern)
    }
    wanted |= {f"brokertuner_tui/themes/{path.name}" for path in (ROOT / "themes").glob("*.toml")}
    missing = [name for name in sorted(wanted) if not (installed / name).is_file()]
    assert not missing
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == {"brokertuner_tui"}


def test_the_wheel_brings_licence_and_console_script(installed: Path) -> None:
    (info,) = installed.glob("*.dist-info")
    assert "brokertuner-tui = brokertuner_tui.cli.main:main" in (info / "entry_points.txt").read_text()
    assert (info / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert "License-Expression: Apache-2.0" in (info / "METADATA").read_text()


def test_what_was_installed_finds_its_own_themes_and_workloads(installed: Path, tmp_path: Path) -> None:
    program = (
        "from brokertuner_tui import paths; from brokertuner_tui.config.workloads import shipped_tables;"
        "print(paths.themes_dir(), len(list(paths.themes_dir().glob('*.toml'))), 'fanout' in shipped_tables())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    count = len(list((ROOT / "themes").glob("*.toml")))
    assert done.stdout == f"{installed}/brokertuner_tui/themes {count} True\n", done.stderr


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "brokertuner_tui", "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "brokertuner-tui" in done.stdout


def test_every_requirement_is_pinned_within_its_range() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    requirements = [Requirement(line) for line in lines]
    for requirement in requirements:
        if requirement.name == project["name"]:
            continue  # an extra that takes in others
        pinned = PINNED.get(requirement.name.lower().replace("_", "-"))
        assert pinned is not None, f"{requirement.name} is not in constraints.txt"
        assert pinned in requirement.specifier, f"{requirement} against {pinned}"


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith(
        "\n                                 Apache License\n                           Version 2.0, January 2004\n"
    )
    assert "END OF TERMS AND CONDITIONS" in text
    assert text.rstrip().endswith("limitations under the License.")
