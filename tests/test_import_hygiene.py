"""What must not be loaded is not: front ends by the core, and heavy packages by help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import ROOT, environment

PACKAGE = ROOT / "brokertuner_tui"
FRONT_ENDS = ("cli", "tui", "service")
HELP_MUST_NOT_LOAD = (
    "torch",
    "pydantic",
    "textual",
    "sqlalchemy",
    "numpy",
    "gymnasium",
    "rich",
    "psutil",
    "paho",
    "fastapi",
    "uvicorn",
)


def _core_modules() -> list[str]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in FRONT_ENDS or parts[-1] == "__main__":
            continue
        found.append(".".join(("brokertuner_tui", *(part for part in parts if part != "__init__"))))
    return found


def _loaded(code: str, home: Path) -> set[str]:
    """The packages that a fresh interpreter has loaded after `code`."""
    code += "\nimport json, sys; sys.stderr.write(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=home, env=environment(home), capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stderr.splitlines()[-1]))


def test_the_core_knows_no_front_end(tmp_path: Path) -> None:
    modules = _core_modules()
    assert len(modules) > 30
    loaded = _loaded("import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in modules), tmp_path)
    assert not loaded & {"textual", "typer", "rich", "click", "fastapi", "uvicorn", "starlette", "prometheus_client"}


def test_the_core_but_for_the_agent_does_without_torch(tmp_path: Path) -> None:
    modules = [name for name in _core_modules() if not name.startswith("brokertuner_tui.agent")]
    loaded = _loaded("import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in modules), tmp_path)
    assert "torch" not in loaded


def test_the_session_can_be_made_without_the_database(tmp_path: Path) -> None:
    """The TUI's first frame comes before SQLAlchemy and torch."""
    assert not _loaded("import brokertuner_tui.tuning.session", tmp_path) & {"torch", "sqlalchemy"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        [],
        ["--version"],
        *(
            [name, "--help"]
            for name in (
                "launch",
                "train",
                "evaluate",
                "bench",
                "knobs",
                "workload",
                "runs",
                "config",
                "paths",
                "serve",
                "report",
            )
        ),
        *(["runs", name, "--help"] for name in ("list", "show", "export")),
        ["config", "show", "--help"],
    ],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    code = f"from brokertuner_tui.cli.main import run\nassert run({arguments!r}) == 0"
    assert not _loaded(code, tmp_path) & set(HELP_MUST_NOT_LOAD)


def test_completion_loads_nothing_heavy(tmp_path: Path) -> None:
    variables = {"_BROKERTUNER_TUI_COMPLETE": "complete_bash", "COMP_WORDS": "brokertuner-tui train --w", "COMP_CWORD": "2"}
    code = f"import os\nos.environ |= {variables!r}\nfrom brokertuner_tui.cli.main import run\nassert run([]) == 0"
    assert not _loaded(code, tmp_path) & set(HELP_MUST_NOT_LOAD)


def test_knobs_loads_neither_torch_nor_the_database(tmp_path: Path) -> None:
    loaded = _loaded("from brokertuner_tui.cli.main import run\nassert run(['knobs', '--json']) == 0", tmp_path)
    assert not loaded & {"torch", "sqlalchemy", "textual"}
