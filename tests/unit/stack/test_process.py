"""Processes: identity, orderly and forced ends, notes that survive a crash half-way."""

import os
import signal
import stat
import sys
import time
from pathlib import Path

import psutil
import pytest

from ops.stack import StackError
from ops.stack.errors import log_tail
from ops.stack.process import (
    Identity,
    end,
    read_pid,
    spawn,
    write_atomically,
    write_pid,
)

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def wait_for_output(log: Path) -> None:
    """Return when the program has written a line; pytest's fault handler ends a hang."""
    deadline = time.monotonic() + 10
    while "\n" not in log.read_text():
        assert time.monotonic() < deadline, "the program printed nothing"


def test_a_child_runs_in_its_own_session_and_ends_when_asked(tmp_path: Path) -> None:
    child = spawn("sleeper", [sys.executable, "-c", SLEEP], log=tmp_path / "logs" / "a.log")
    wait_for_output(child.log)

    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    assert child.identity.find() is not None
    assert child.stop(timeout_s=10) is True
    assert child.exit_status() == -signal.SIGTERM
    assert child.identity.find() is None


def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    child = spawn("stubborn", [sys.executable, "-c", STUBBORN], log=tmp_path / "a.log")
    wait_for_output(child.log)

    assert child.stop(timeout_s=0.2) is False
    assert child.exit_status() == -signal.SIGKILL


def test_a_child_that_ended_at_start_up_is_reported_with_its_log(tmp_path: Path) -> None:
    child = spawn(
        "broken", [sys.executable, "-c", "raise SystemExit('no disk')"], log=tmp_path / "b"
    )
    child.popen.wait(10)

    with pytest.raises(StackError, match=r"broken ended at start-up with status 1.*\n.*no disk"):
        child.require_running()


def test_a_program_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    child = spawn("absent", ["/nowhere/program"], log=tmp_path / "b")
    child.popen.wait(10)

    with pytest.raises(StackError, match="No such file"):
        child.require_running()


def test_a_pid_given_away_again_is_not_taken_for_the_old_process() -> None:
    me = psutil.Process()

    assert Identity(me.pid, me.create_time()).find() is not None
    assert Identity(me.pid, me.create_time() - 100).find() is None
    assert end(Identity(me.pid, me.create_time() - 100), timeout_s=1) is False


def test_a_pid_note_is_read_back_and_a_torn_one_is_nothing(tmp_path: Path) -> None:
    note = tmp_path / "x.pid"
    assert read_pid(note) is None

    write_pid(note, Identity(42, 1.5))
    assert read_pid(note) == Identity(42, 1.5)

    note.write_text('{"pid": 42')
    assert read_pid(note) is None


def test_files_are_replaced_whole_and_private(tmp_path: Path) -> None:
    secret = tmp_path / "deep" / "secret"

    write_atomically(secret, "one")
    write_atomically(secret, "two")

    assert secret.read_text() == "two"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert [path.name for path in secret.parent.iterdir()] == ["secret"]


def test_the_tail_of_a_log_is_short_whatever_is_in_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == ""

    log.write_bytes(b"\xff" * 100_000 + b"\n" + b"".join(b"line %d\n" % n for n in range(100)))

    lines = log_tail(log).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "    line 99"
