"""Labelled points at which a process can be made to die, for proving that it may die there.

``OMS_CRASH_AT=label:n,label:n`` kills this process (SIGKILL) at the n-th pass of a label. With ``OMS_CRASH_MARKS`` set
to a directory, each label does so once, however often the process is started again.
"""

import os
import signal
from pathlib import Path

BEFORE_COMMIT = "before_commit"
AFTER_COMMIT = "after_commit_before_publish"
BEFORE_PUBLISH = "before_publish"
AFTER_PUBLISH = "after_publish_before_mark"
AFTER_EFFECT = "after_effect_before_answer"
BEFORE_TIMERS = "before_timers"

LABELS = (
    BEFORE_COMMIT,
    AFTER_COMMIT,
    BEFORE_PUBLISH,
    AFTER_PUBLISH,
    AFTER_EFFECT,
    BEFORE_TIMERS,
)


def _plan(text: str, marks: str) -> dict[str, int]:
    """Passes left before each death, without the labels that have had theirs."""
    plan: dict[str, int] = {}
    for item in filter(None, text.split(",")):
        label, _, passes = item.partition(":")
        if label not in LABELS or not passes.isdigit() or int(passes) < 1:
            raise ValueError(
                f"OMS_CRASH_AT={item!r}: give label:n, with a label of {', '.join(LABELS)}"
            )
        if not (marks and (Path(marks) / label).exists()):
            plan[label] = int(passes)
    return plan


_MARKS = os.environ.get("OMS_CRASH_MARKS", "")
_LEFT = _plan(os.environ.get("OMS_CRASH_AT", ""), _MARKS)


def reach(label: str) -> None:
    """Pass a point; costs one lookup when nothing is to happen."""
    left = _LEFT.get(label)
    if left is None:
        return
    if left > 1:
        _LEFT[label] = left - 1
        return
    if _MARKS:
        (Path(_MARKS) / label).touch()
    os.kill(os.getpid(), signal.SIGKILL)
