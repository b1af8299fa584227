-- Fulfillments that people still have work with, oldest first. A row goes when its work is done; automatic locations
-- have none here. It shows what the streams say and decides nothing.
create table worklist (
    position       bigint generated always as identity unique,
    fulfillment_id text primary key,
    order_id       text not null,
    location       text not null,
    stage          text not null,
    picker         text,
    units_open     integer not null,
    units_loose    integer not null,
    opened_at      timestamptz not null default now()
);
create index worklist_location on worklist (location, position);
