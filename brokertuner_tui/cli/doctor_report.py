"""What `doctor` found, line by line as it is found, or as one JSON object."""

from __future__ import annotations

from pathlib import Path

from brokertuner_tui.cli import output
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.doctor.examine import examine
from brokertuner_tui.doctor.finding import Finding, Level
from brokertuner_tui.errors import ExitCode

_MARKS = {Level.OK: "✓", Level.WARNING: "!", Level.FAILURE: "✗"}
_INDENT = " " * 19


def report(settings: Settings, save_dir: Path, *, fix: bool, as_json: bool) -> int:
    """Prints every finding; gives the exit code: 1 if there is a failure that was not mended."""
    findings, fixed = [], []
    for finding in examine(settings, save_dir):
        findings.append(finding)
        done = _fix(finding) if fix else None
        fixed.append(done)
        if not as_json:
            _print(finding, done)
    left = [finding for finding, done in zip(findings, fixed, strict=True) if finding.level is not Level.OK and done is None]
    failures = [finding for finding in left if finding.level is Level.FAILURE]
    if as_json:
        rows = [found.as_dict() | {"fixed": done} for found, done in zip(findings, fixed, strict=True)]
        output.put_json({"ok": not failures, "findings": rows})
    else:
        _print_sum(left, failures, fixable=not fix and any(finding.fix for finding in left))
    return ExitCode.FAILED if failures else ExitCode.DONE


def _fix(finding: Finding) -> str | None:
    """What was done; None if nothing was, or could be."""
    if finding.fix is None:
        return None
    try:
        return finding.fix()
    except OSError as error:
        output.complain(f"{finding.name}: {error.strerror or error}")
        return None


def _print(finding: Finding, done: str | None) -> None:
    lines = [f"{_MARKS[finding.level]} {finding.name:<16} {output.one_line(finding.says)}"]
    if finding.why:
        lines.append(f"{_INDENT}why it matters: {finding.why}")
    lines += [f"{_INDENT}{'mend: ' if number == 0 else '      '}{command}" for number, command in enumerate(finding.mend)]
    if done is not None:
        lines.append(f"{_INDENT}mended: {done}")
    output.put("\n".join(lines) + "\n")


def _print_sum(left: list[Finding], failures: list[Finding], *, fixable: bool) -> None:
    warnings = len(left) - len(failures)
    if not left:
        text = "all is well"
    else:
        parts = [
            f"{count} {word}{'s' if count > 1 else ''}"
            for count, word in ((len(failures), "failure"), (warnings, "warning"))
            if count
        ]
        text = " and ".join(parts)
    output.put(f"\n{text}{'; --fix mends what is harmless to mend' if fixable else ''}\n")
