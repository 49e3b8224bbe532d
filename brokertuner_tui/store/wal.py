"""Whether the write-ahead log of a SQLite file lost what had been acknowledged.

SQLite takes the first frame whose checksum is wrong for the end of the log: after a power cut that is right, since an
unfinished write may be torn. Every write of ours is synced before the next one begins, so no more than one can be torn; whole
writes after the broken place mean that the disk, or somebody, damaged the log, and SQLite says nothing. Layout:
https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER_BYTES, _FRAME_BYTES = 32, 24
_MAGICS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_LARGEST_BYTES = 32 * 2**20
"""As a rule a log has no more than 4 MB; summing up this many takes some seconds."""


def lost_writes(path: Path) -> int:
    """How many whole writes follow the first broken frame in the log of the database `path`; one may be torn and is none."""
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not _HEADER_BYTES + _FRAME_BYTES < log.stat().st_size <= _LARGEST_BYTES:
        return 0
    data = log.read_bytes()
    order = ">" if data[3] & 1 else "<"
    sums = _checksum(data[:24], (0, 0), order)
    broken = data[:4] not in _MAGICS or sums != struct.unpack_from(">2I", data, 24)
    frame_bytes = _FRAME_BYTES + (_page_bytes(path) if broken else struct.unpack_from(">I", data, 8)[0])
    salts = data[_HEADER_BYTES + 8 : _HEADER_BYTES + 16] if broken else data[16:24]
    commits = 0
    for start in range(_HEADER_BYTES, len(data) - frame_bytes + 1, frame_bytes):
        frame = data[start : start + frame_bytes]
        if not broken:
            sums = _checksum(frame[_FRAME_BYTES:], _checksum(frame[:8], sums, order), order)
            broken = frame[8:16] != salts or sums != struct.unpack_from(">2I", frame, 16)
        if broken and frame[8:16] == salts and frame[4:8] != b"\0\0\0\0":
            commits += 1
    return commits if commits > 1 else 0


def _page_bytes(path: Path) -> int:
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(18)[16:], "big")
    return size if size >= 512 and size.bit_count() == 1 else 65_536  # the largest is written as 1


def _checksum(data: bytes, before: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
