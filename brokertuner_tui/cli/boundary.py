"""The last line of defence: whatever a command raises ends as one line on stderr and an exit code."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from brokertuner_tui.cli import output
from brokertuner_tui.errors import ExitCode, TunerError
from brokertuner_tui.redaction import without_secrets

_debug = False

# Typer brings a Click of its own or uses the installed one, version by version: its error classes are found, not imported.
_ClickException: type[Exception] = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")


def show_tracebacks() -> None:
    """`--debug`: errors come with their traceback."""
    global _debug
    _debug = True


def guarded(run: Callable[[], object]) -> int:
    """Runs a command; gives the exit code."""
    try:
        code = run()
        output.put("")
        return code if isinstance(code, int) else ExitCode.DONE
    except BrokenPipeError:
        return _read_enough()
    except SystemExit as end:
        # Click's own answer to a broken pipe; completion scripts end so, too.
        return _read_enough() if isinstance(end.__context__, BrokenPipeError) else end.code if isinstance(end.code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        output.say("interrupted")
        return ExitCode.INTERRUPTED
    except typer.Exit as end:
        return end.exit_code
    except TunerError as error:
        return report(error)
    except _ClickException as error:
        return _misused(error)
    except Exception as error:
        return report(error)


def _read_enough() -> int:
    """`| head` is content, and so are we."""
    output.drop_stdout()
    return ExitCode.DONE


def report(error: BaseException) -> int:
    """Says what went wrong; gives the exit code. An error that nobody foresaw leaves a crash report."""
    if _debug:
        output.say(without_secrets("".join(traceback.format_exception(error)).rstrip()))
    unforeseen: BaseException | None = error
    if isinstance(error, TunerError):
        # A session hands the unforeseen on as the cause of an error without a class of its own.
        unforeseen = error.__cause__ if type(error) is TunerError and _is_unforeseen(error.__cause__) else None
    first, _, details = without_secrets(str(error)).partition("\n")
    if unforeseen is not None and unforeseen is error:
        first = f"{type(error).__name__}: {first}"
    output.complain(first)
    if details:
        output.say(details)
    if unforeseen is not None and not _debug:
        path = _crash_report(unforeseen)
        output.say(f"this is a bug; what happened is written in {path}" if path else "this is a bug; --debug shows where")
    return error.exit_code if isinstance(error, TunerError) else ExitCode.FAILED


def _is_unforeseen(cause: BaseException | None) -> bool:
    return isinstance(cause, Exception) and not isinstance(cause, TunerError | OSError)


def _misused(error: Exception) -> int:
    """A command line that cannot be understood."""
    if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command; its message is the help, printed by now
        if help_text := str(getattr(error, "message", "")).strip():
            output.put(f"{help_text}\n")
        return ExitCode.DONE
    context: Any = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    message: Any = getattr(error, "format_message", lambda: str(error))()
    output.complain(" ".join(str(message).split()) + hint)
    return ExitCode.USAGE


def _crash_report(error: BaseException) -> Path | None:
    from brokertuner_tui.logs import crash_report

    return crash_report(error)
