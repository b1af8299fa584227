-- The ledger of one service: what it decided, in which order it told others, and how far it has listened.

-- Snapshots. The row is also the lock: a batch locks its streams here, in id order, before it decides.
-- `schema` is the version of the state's shape; a row of another version is folded anew from messages.
create table streams (
    id      text primary key,
    version integer not null check (version > 0),
    schema  smallint not null,
    state   bytea not null,
    guard   bigint not null default 0 check (guard >= 0)  -- second line behind the deciders: nothing is oversold
) with (fillfactor = 80);  -- room for HOT updates: every append rewrites a row

-- The log, which is also the feed. Positions are dense over all rows and given in commit order (see `head`). An event has a
-- stream and a contiguous version; a command that was sent has no version. A row without a topic is private to this
-- service; `previous` is the position before this one on the same topic and partition.
create table messages (
    position  bigint primary key,
    stream    text not null,
    version   integer check (version > 0),
    type      text not null,
    topic     text,
    partition smallint,
    previous  bigint,
    key       text not null,
    at        timestamptz not null,
    meta      bytea not null,
    data      bytea not null,
    check ((topic is null) = (previous is null) and (topic is null) = (partition is null))
);
create unique index messages_stream on messages (stream, version) where version is not null;

-- The last position given: one row, locked from taking positions until the commit.
create table head (
    one      boolean primary key default true check (one),
    position bigint not null
);
insert into head values (true, 0);

-- The last position given on each topic and partition.
create table chain (
    topic     text,
    partition smallint,
    position  bigint not null,
    primary key (topic, partition)
);

-- Up to which position the broker is known to have the feed; may lag behind what it has.
create table relay (
    one       boolean primary key default true check (one),
    published bigint not null
);
insert into relay values (true, 0);

-- How far this service has handled each topic and partition: the broker's next offset, and the producer's position
-- (the watermark). Written in the transaction that holds the effects of handling.
create table checkpoints (
    topic       text,
    partition   smallint,
    next_offset bigint not null,
    sequence    bigint not null,
    primary key (topic, partition)
);

-- Deadlines. `message` is delivered to this service's own decider when due; deleting the row is the fence.
create table timers (
    subject text,
    name    text,
    due_at  timestamptz not null,
    type    text not null,
    message bytea not null,
    meta    bytea not null,
    primary key (subject, name)
);
create index timers_due on timers (due_at);

-- Calls to the outside that are owed. The id is the idempotency key. Answered rows are deleted: the answer is an event.
create table effects (
    id           text primary key,
    subject      text not null,
    type         text not null,
    request      bytea not null,
    meta         bytea not null,
    attempts     integer not null default 0,
    next_at      timestamptz not null,
    leased_until timestamptz not null,
    parked       boolean not null default false,
    error        text
);
create index effects_due on effects (next_at) where not parked;

-- Messages that could not be handled, and those of the same key that queue behind them, in order of arrival.
create table parked (
    id        bigint generated always as identity primary key,
    topic     text not null,
    key       bytea not null,
    partition smallint not null,
    "offset"  bigint not null,
    sequence  bigint,
    headers   bytea not null,
    value     bytea not null,
    error     text not null,
    parked_at timestamptz not null
);
-- A key is the sender's: a B-tree refuses rows above 2,704 bytes, and a record that could not even be parked would stop its
-- partition for good. A hash index takes every length; few rows share a key, so their order needs no index.
create index parked_key on parked using hash (key);

-- Answers already given, by Idempotency-Key. `scope` is the API key's id.
create table idempotency (
    scope       text,
    key         text,
    fingerprint bytea not null,
    status      smallint not null,
    body        bytea not null,
    at          timestamptz not null,
    primary key (scope, key)
);

-- For people with a SQL prompt: the log with its bytes as text. As json, not jsonb, which refuses an escaped NUL.
create view log as
select position, stream, version, type, topic, partition, previous, key, at,
       convert_from(meta, 'UTF8')::json as meta, convert_from(data, 'UTF8')::json as data
from messages;
