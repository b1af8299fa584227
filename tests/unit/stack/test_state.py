"""The note about what runs: trusted only together with the process table."""

import stat
import sys
from pathlib import Path

import pytest

from ops.stack import StackError, state
from ops.stack.process import spawn


def system(*processes: state.ProcessState) -> state.SystemState:
    return state.SystemState(
        supervisor=state.myself("supervisor"),
        addresses={"postgres": "postgresql://postgres:secret@127.0.0.1"},
        processes=processes,
    )


def entry(name: str, pid: int, started: float) -> state.ProcessState:
    return state.ProcessState(name=name, state=state.READY, pid=pid, started=started)


def test_a_note_is_read_back_and_is_private(tmp_path: Path) -> None:
    assert state.read(tmp_path) is None

    written = system(entry("order", 42, 1.0))
    state.write(tmp_path, written)

    assert state.read(tmp_path) == written
    assert written.running
    assert not written.processes[0].running
    assert stat.S_IMODE(state.state_file(tmp_path).stat().st_mode) == 0o600


def test_a_note_that_cannot_be_read_says_which_file(tmp_path: Path) -> None:
    state.state_file(tmp_path).write_text("{")

    with pytest.raises(StackError, match=r"state\.json cannot be read"):
        state.read(tmp_path)


def test_nothing_is_stopped_where_nothing_ran(tmp_path: Path) -> None:
    assert state.down(tmp_path) == []
    assert state.end_leftovers(tmp_path) == []


def test_left_over_processes_are_ended_and_strangers_with_their_pid_are_not(tmp_path: Path) -> None:
    child = spawn("left", [sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "l")
    reused = spawn("new", [sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "n")
    dead = state.ProcessState(
        name="supervisor", state=state.READY, pid=reused.pid, started=reused.identity.started - 100
    )
    state.write(
        tmp_path,
        state.SystemState(
            supervisor=dead,
            processes=(
                entry("order", child.pid, child.identity.started),
                entry("views", reused.pid, reused.identity.started - 100),
            ),
        ),
    )

    try:
        assert state.down(tmp_path) == ["order"]
        assert child.identity.find() is None
        assert reused.exit_status() is None
        assert state.read(tmp_path) is None
    finally:
        reused.stop()
        child.stop()
