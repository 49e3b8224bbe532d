"""The folder: whole at every moment, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokertuner_tui.bench.keep import PLAN, RESULTS, Folder, read
from brokertuner_tui.errors import UsageError
from tests.bench.fake import plan, run

_ONE = {"versions": {"2.1.2": "/opt/mosquitto"}, "seeds": 1}


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A folder with a benchmark that is done: two units and a confirmation."""
    run(tmp_path / "bench", plan(**_ONE))
    return tmp_path / "bench"


def test_results_cut_at_any_byte_lose_the_last_line_at_most(done: Path) -> None:
    whole = (done / RESULTS).read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 3
    for length in {0, *range(1, len(whole), 97), *ends, *(end - 1 for end in ends), *(end + 1 for end in ends[:-1])}:
        (done / RESULTS).write_bytes(whole[:length])
        with Folder(done, None) as folder:
            assert len(folder.results.units) + len(folder.results.confirmations) == sum(end <= length for end in ends)
        assert (done / RESULTS).read_bytes() == whole[: max([0, *(end for end in ends if end <= length)])]


def test_what_was_kept_is_read_again_as_it_was(done: Path) -> None:
    before = read(done)
    with Folder(done, None) as folder:
        assert (folder.plan, folder.results) == before


def test_another_plan_is_refused_in_one_line_and_nothing_is_changed(done: Path) -> None:
    before = {path.name: path.read_bytes() for path in done.iterdir() if path.name != "lock"}
    with pytest.raises(UsageError, match=r"--out .*: holds another benchmark: --trials is 5 there, not 7; choose another"):
        Folder(done, plan(**_ONE, trials=7))
    assert {path.name: path.read_bytes() for path in done.iterdir() if path.name != "lock"} == before


def test_one_benchmark_at_a_time(done: Path) -> None:
    with Folder(done, None), pytest.raises(UsageError, match="a benchmark runs there: process"):
        Folder(done, None)
    Folder(done, None).close()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (RESULTS, "{}\n", "line 1: is no result"),
        (RESULTS, '{"kind": "unit", "cell": 3}\n', "line 1: is no result"),
        (PLAN, "[]", "is not the plan of a benchmark"),
        (PLAN, '{"workloads": 7}', "is not the plan of a benchmark"),
    ],
)
def test_what_is_none_of_ours_is_left_alone(done: Path, name: str, text: str, said: str) -> None:
    (done / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        Folder(done, None)
    assert (done / name).read_text() == text


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="is not empty"):
        Folder(tmp_path, plan())
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
