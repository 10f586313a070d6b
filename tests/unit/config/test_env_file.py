"""The env file's few forms, and the refusal of everything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from btcbot.config.env_file import ENV_FILE_BYTES_MAX, parse_env_file, read_env_file


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("  A = 1  ", "1"),
        ("A=", ""),
        ("A=''", ""),
        ("A=1\r", "1"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A=# comment", ""),
        ("A='b # c'  # comment", "b # c"),
        ('A="b c"', "b c"),
        ('A=["x", "y"]', '["x", "y"]'),
        ("A=c2VjcmV0==", "c2VjcmV0=="),
    ],
)
def test_forms(line: str, value: str) -> None:
    assert parse_env_file(line, "f").values == {"A": value}


@pytest.mark.parametrize("text", ["${HOME}", "$HOME", "$(id)", "`id`", "%PATH%", "~", "\\n"])
@pytest.mark.parametrize("line", ["A={}", "A='{}'"])
def test_nothing_is_expanded(line: str, text: str) -> None:
    assert parse_env_file(line.format(text), "f").values == {"A": text}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("A", "f:1: is not NAME=VALUE"),
        ("=1", "f:1: is not NAME=VALUE"),
        ("1A=1", "f:1: is not NAME=VALUE"),
        ("А=1", "f:1: is not NAME=VALUE"),  # a Cyrillic A
        ("\ufeffA=1", "f:1: is not NAME=VALUE"),
        ("A='1", "f:1: has a quotation mark that does not close"),
        ("A='1' 2", "f:1: has a quotation mark that does not close"),
        ('A="a\\nb"', "f:1: has a backslash between double quotes"),
        ("A=1\x00", "f:1: holds a control character"),
        ("A=1\x85B=2", "f:1: holds a control character"),
        ("A=1\rB=2", "f:1: holds a control character"),
        ("A=1\nA=2", "f:2: A is set in line 1 already"),
    ],
)
def test_what_is_not_plainly_an_assignment_is_refused_with_file_and_line(line: str, problem: str) -> None:
    (found,) = parse_env_file(line, "f").problems

    assert found.startswith(problem)


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o700])
def test_a_file_open_to_others_is_refused_unread(tmp_path: Path, mode: int) -> None:
    found = read_env_file(write(tmp_path / "f", b"A=1", mode))

    assert found.values == {}
    assert f"has mode {mode:04o}, it must be 0600 or 0400; run: chmod 600" in found.problems[0]


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_read(tmp_path: Path, mode: int) -> None:
    assert read_env_file(write(tmp_path / "f", b"A=1", mode)).values == {"A": "1"}


def test_neither_folders_nor_pipes_nor_huge_files_nor_other_encodings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    for path, problem in [
        (tmp_path, "is not a regular file"),
        (tmp_path / "pipe", "is not a regular file"),
        (write(tmp_path / "huge", b"#" * (ENV_FILE_BYTES_MAX + 1)), "is longer than"),
        (write(tmp_path / "latin", b"A=1\nB=\xe9"), "latin:2: is not UTF-8"),
    ]:
        assert problem in read_env_file(path).problems[0]
