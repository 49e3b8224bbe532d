"""The one file that is written for a broker that is not ours: the operator's own is kept, and can be put back."""

from __future__ import annotations

import base64
import contextlib
import grp
import hashlib
import json
import os
import pwd
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from brokertuner_tui.broker.service import Problem
from brokertuner_tui.errors import TunerError
from brokertuner_tui.files import remove_leftovers, replace_file, sync_folder
from brokertuner_tui.knobs.catalogue import KnobValues
from brokertuner_tui.knobs.conf import render
from brokertuner_tui.paths import private_folder
from brokertuner_tui.process.lock import Holder, Taken, TunerLock, holder_of

_FIRST_LINE = b"# Written by brokertuner-tui"
_SUM = b"# sha256 of the lines below: "
_FILE_MODE = 0o644  # a reload is read by the user that the broker has become


@dataclass(frozen=True, slots=True)
class Original:
    """What was there before the tuner first wrote: `content` None for no file at all."""

    path: Path
    content: bytes | None
    mode: int
    uid: int
    gid: int
    kept_at: float
    """Seconds since the epoch."""

    def as_json(self) -> bytes:
        """For the disk."""
        content = base64.b64encode(self.content).decode() if self.content is not None else None
        data = {"path": str(self.path), "content": content, "mode": self.mode, "uid": self.uid, "gid": self.gid}
        return json.dumps({**data, "kept_at": self.kept_at}, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Original:
        """From what `as_json` gave.

        Raises:
            ValueError: it is not that.
        """
        try:
            told = json.loads(data)
            content = base64.b64decode(told["content"], validate=True) if told["content"] is not None else None
            return cls(
                Path(told["path"]), content, int(told["mode"]), int(told["uid"]), int(told["gid"]), float(told["kept_at"])
            )
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"not a kept original: {error}") from None


class KnobFile:
    """Writes the knobs for a broker that is not ours, durably, and can put back what was there.

    Args:
        path: the file; its folder must be there.
        originals: folder of the tuner's for what it keeps (0700; the files 0600).
    """

    def __init__(self, path: Path, originals: Path) -> None:
        self.path = path
        name = hashlib.sha256(os.path.realpath(path).encode(errors="surrogateescape")).hexdigest()[:16]
        self.kept = originals / f"{name}.json"
        """Where the operator's own is kept."""
        self.intent = originals / f"{name}.intent.json"
        """What is about to be changed (`intent.py`)."""
        self._lock: TunerLock | None = None

    def is_ours(self) -> bool:
        """Whether what is there now was written by a tuner and not touched by anybody since."""
        try:
            return _is_ours(self.path.read_bytes())
        except OSError:
            return False

    def operators_own(self) -> bytes | None:
        """What the operator has, or had, in this place; None for nothing.

        Raises:
            TunerError: what was kept cannot be read.
        """
        content = self.snapshot()
        if content is None or not _is_ours(content):
            return content
        original = self.original()
        return original.content if original is not None else None

    def snapshot(self) -> bytes | None:
        """What is there now; None for nothing (or nothing that can be read)."""
        try:
            return self.path.read_bytes()
        except OSError:
            return None

    def put_snapshot(self, content: bytes | None) -> None:
        """Puts back what `snapshot` gave.

        Raises:
            OSError: it cannot be written.
        """
        if content is None:
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)
            return
        told = self.path.stat() if self.path.exists() else None
        mode = stat.S_IMODE(told.st_mode) if told else _FILE_MODE
        replace_file(self.path, content, mode=mode, owner=(told.st_uid, told.st_gid) if told else None)

    def problems(self, user: str) -> list[Problem]:
        """What would keep the tuner from writing, or the broker (as `user`) from reading."""
        folder, found = self.path.parent, []
        us = '"$(id -un)"' if os.geteuid() else "root"
        if not folder.is_dir():
            return [Problem(f"the folder {folder} of the knob file is not there", f"sudo mkdir -m 755 {folder}")]
        if not os.access(folder, os.W_OK | os.X_OK):
            mend = f'sudo chgrp "$(id -gn)" {folder} && sudo chmod g+rwx {folder}'
            found.append(Problem(f"the folder {folder} cannot be written by this user", mend))
        if self.path.exists() and not os.access(self.path, os.R_OK):
            found.append(Problem(f"{self.path} cannot be read", f"sudo chown {us} {self.path}"))
        if not _may(user, folder, stat.S_IROTH | stat.S_IXOTH):
            found.append(
                Problem(f"the broker, as user {user}, cannot read the folder {folder} at a reload", f"sudo chmod o+rx {folder}")
            )
        return found

    def lock(self) -> None:
        """Takes the folder of the file for this process, however that ends.

        Raises:
            TunerError: another tuner has it, or it cannot be opened.
        """
        if self._lock is not None:
            return
        try:
            # The folder itself, so that tuners of other users meet it, too.
            self._lock = TunerLock(self.path.parent, note=self.kept.with_suffix(".lock"))
        except Taken as taken:
            raise TunerError(f"another tuner is at work on {self.path}: {taken.holder.told()}; end it first") from None
        except OSError as error:
            raise TunerError(f"the folder {self.path.parent} cannot be opened: {error.strerror}") from None
        for path in (self.path, self.kept, self.intent):
            remove_leftovers(path)

    def holder(self) -> Holder | None:
        """Which tuner has the broker at this moment; None: none that can be seen. Touches nothing."""
        return holder_of(self.path.parent, note=self.kept.with_suffix(".lock"))

    def unlock(self) -> None:
        """Gives the folder back; may be called again."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def keep_original(self) -> Original:
        """Keeps what the operator has there, before the first write; what was kept before stays if the file is ours.

        Raises:
            TunerError: it cannot be read or kept.
        """
        content, mode, uid, gid = None, _FILE_MODE, os.geteuid(), os.getegid()
        try:
            content = self.path.read_bytes()
            told = self.path.stat()
            mode, uid, gid = stat.S_IMODE(told.st_mode), told.st_uid, told.st_gid
        except FileNotFoundError:
            pass
        except OSError as error:
            raise TunerError(f"{self.path} cannot be read: {error.strerror}") from None
        before = self.original()
        if content is not None and _is_ours(content):
            if before is not None:
                return before
            content = None  # of an earlier run whose memory is lost: not the operator's
        if before is not None and before.content == content:
            return before
        original = Original(self.path, content, mode, uid, gid, time.time())
        try:
            private_folder(self.kept.parent)
            if before is not None:  # the operator has changed it since: the older one is kept, too
                os.replace(self.kept, self.kept.with_name(f"{self.kept.stem}.{int(before.kept_at)}.json"))
            replace_file(self.kept, original.as_json())
        except OSError as error:
            raise TunerError(f"the original of {self.path} cannot be kept in {self.kept.parent}: {error.strerror}") from None
        return original

    def original(self) -> Original | None:
        """What was kept; None where nothing was.

        Raises:
            TunerError: it cannot be read.
        """
        try:
            return Original.from_json(self.kept.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise TunerError(f"what was kept of {self.path} in {self.kept} cannot be read: {error}") from None

    def write(self, knobs: KnobValues, announce: Callable[[bytes], None] = lambda _: None) -> None:
        """Replaces the file.

        Args:
            announce: told the new content right before it is written.

        Raises:
            UsageError: a value is not legal.
            OSError: it cannot be written; what was there still is.
        """
        body = render(knobs).encode()
        when = time.strftime("%Y-%m-%d %H:%M:%S %Z")
        header = (
            f"{_FIRST_LINE.decode()} (process {os.getpid()}, user {_user_name(os.geteuid())}) on {when}.\n"
            "# It is replaced at every change of a knob. To go back to what was here before: brokertuner-tui restore\n"
            f"# What was here before is kept in {_one_line(self.kept)}\n"
        ).encode(errors="replace")
        mode, owner = _FILE_MODE, None
        with contextlib.suppress(OSError):
            told = self.path.stat()
            mode, owner = stat.S_IMODE(told.st_mode) | stat.S_IRUSR | stat.S_IROTH, (told.st_uid, told.st_gid)
        content = header + _SUM + _sum(body) + b"\n" + body
        announce(content)
        replace_file(self.path, content, mode=mode, owner=owner)

    def put_back(self, original: Original) -> None:
        """Puts the operator's own back, byte for byte.

        Raises:
            OSError: it cannot be written; what was there still is.
        """
        if original.content is None:
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)
        else:
            replace_file(self.path, original.content, mode=original.mode, owner=(original.uid, original.gid))

    def is_back(self, original: Original) -> bool:
        """Whether the operator's own is there, byte for byte."""
        try:
            return self.path.read_bytes() == original.content
        except FileNotFoundError:
            return original.content is None

    def forget(self) -> None:
        """Forgets the original, which is back in its place: the next run keeps what is there then."""
        with contextlib.suppress(OSError):
            self.kept.unlink(missing_ok=True)
            sync_folder(self.kept.parent)


def _is_ours(content: bytes) -> bool:
    if not content.startswith(_FIRST_LINE):
        return False
    _, found, rest = content.partition(b"\n" + _SUM)
    told, _, body = rest.partition(b"\n")
    return bool(found) and told == _sum(body)


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _one_line(path: Path) -> str:
    return "".join(char if char.isprintable() else "?" for char in str(path))


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _may(user: str, path: Path, bits: int) -> bool:
    """Whether `user` may do with `path` what `bits` (of others) say, by its mode; True where that cannot be told."""
    try:
        entry, told = pwd.getpwnam(user), path.stat()
        groups = {entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if user in group.gr_mem)}
    except (KeyError, OSError):
        return True
    mode = stat.S_IMODE(told.st_mode)
    if entry.pw_uid == 0:
        return True
    if told.st_uid == entry.pw_uid:
        return mode >> 6 & bits == bits
    if told.st_gid in groups:
        return mode >> 3 & bits == bits
    return mode & bits == bits
