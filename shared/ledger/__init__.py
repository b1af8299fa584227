"""Event sourcing on Postgres: append in batches, publish through a gapless feed, remember how far one has listened."""
