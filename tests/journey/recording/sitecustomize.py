"""Imported by every Python process whose path holds this folder, before its program: notes what a service reads of the
messages that reach it, and writes it to ``$OMS_READS/<service>.json`` when the process ends."""

import os
import sys

_SERVICE = next((a.partition(".")[2] for a in sys.orig_argv if a.startswith("services.")), "")

if _SERVICE and "OMS_READS" in os.environ:
    from tests.journey.reads import note_reads

    note_reads(_SERVICE)
