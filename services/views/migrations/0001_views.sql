-- Read models in versions. Each version has its tables in a schema of its own, `v1`, `v2` …, made by services/views/sql/
-- version.sql: a rebuild fills the next schema from the topics while the live one is read, and then takes its place.

create table projections (
    version    integer primary key check (version > 0),
    shape      integer not null,            -- of the documents; code of another shape cannot read them
    state      text not null check (state in ('building', 'live', 'retired')),
    started_at timestamptz not null default now(),
    live_at    timestamptz
);

-- One version is read; at most one is being built.
create unique index projections_one on projections (state) where state <> 'retired';
