"""Importing order histories: any source's rows become the source-neutral records of ``records.py``.

A source is a data file (TOML) and a small module that implements ``mapping.Mapping``; reading,
grouping, ordering and the proof that every row ended in exactly one outcome are shared. Nothing
here talks to Kafka, HTTP or a database.
"""

from ops.importer.accounting import AccountingError, Outcome, Summary
from ops.importer.mapping import Import, Mapping
from ops.importer.sources import SourceError

__all__ = ["AccountingError", "Import", "Mapping", "Outcome", "SourceError", "Summary"]
