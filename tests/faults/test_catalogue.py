"""The catalogue and its tests belong together: every row has one, in the file where a reader looks for it."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.faults.catalogue import FILES_OF, ROWS

HERE = Path(__file__).parent


def rows_in(file: Path) -> set[int]:
    """The rows that a file has tests of."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "row":
                    found.add(ast.literal_eval(mark.args[0]))
    return found


def test_every_row_has_a_test_in_the_file_of_its_area() -> None:
    assert sorted(ROWS) == list(range(1, 41))
    assert sorted(number for numbers in FILES_OF.values() for number in numbers) == sorted(ROWS)
    for name, numbers in FILES_OF.items():
        assert rows_in(HERE / name) == set(numbers), name


def test_no_row_is_skipped_or_expected_to_fail() -> None:
    for name in FILES_OF:
        text = (HERE / name).read_text()
        assert "xfail" not in text, name
        assert "mark.skip" not in text, name
