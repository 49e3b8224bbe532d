from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from brokertuner_tui.bench.surrogate import dataset
from brokertuner_tui.config.workloads import shipped_tables
from brokertuner_tui.errors import TunerError
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.knobs.validation import check_all

STEADY = {name for name, table in shipped_tables().items() if table.profile is not None}
VERSIONS = {(2, 0, 11), (2, 0, 21), (2, 1, 2)}
KINDS = {"asis", "default", "main", "uniform", "spread", "best"}


def test_every_steady_workload_is_there_on_every_version_with_settings_of_every_kind() -> None:
    trials = dataset.load()
    cells = Counter((trial.workload, trial.version) for trial in trials)
    assert set(cells) == {(name, version) for name in STEADY for version in VERSIONS}
    assert min(cells.values()) >= 40
    assert len(trials) >= 2000
    for cell in cells:
        assert {trial.kind for trial in trials if (trial.workload, trial.version) == cell} == KINDS


def test_every_trial_is_whole_and_possible() -> None:
    for trial in dataset.load():
        assert tuple(trial.knobs) == NAMES
        assert check_all(trial.knobs) == trial.knobs
        assert (trial.figures is not None) == (trial.verdict == "ok")
        if (seen := trial.figures) is not None:
            assert seen.on_time + seen.late == seen.received
            assert seen.seconds >= 0.5
            assert 0 <= seen.p50_ms <= seen.p99_ms <= seen.max_ms


def test_what_is_kept_is_small() -> None:
    assert Path(dataset.__file__).with_name(dataset.FILE).stat().st_size < 300_000


def test_written_and_read_it_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "some.csv.gz"
    some = dataset.load()[:50]
    dataset.write(some, path)
    assert dataset.read(path) == some
    first = path.read_bytes()
    dataset.write(some, path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"other,columns\n1,2\n"), gzip.compress(b"x" * 1000)[:-9]],
    # Names of their own: gzip writes the time, and tests that workers collect must have the same names everywhere.
    ids=["empty", "no gzip", "other columns", "cut off"],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.csv.gz"
    path.write_bytes(content)
    with pytest.raises(TunerError, match="not a file of recorded trials") as caught:
        dataset.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_trials_that_others_disturbed_are_recognised() -> None:
    by_verdict = [trial for trial in dataset.load() if trial.figures is not None]
    calm = [trial for trial in by_verdict if not trial.disturbed]
    assert len(calm) > 1000
    default = [t for t in calm if t.workload == "pipeline" and t.version == (2, 0, 11) and t.kind == "asis"]
    rates = sorted(trial.figures.on_time_per_s for trial in default if trial.figures is not None)
    assert rates[0] > 0.5 * rates[-1], "a default that others halved counts as calm"
