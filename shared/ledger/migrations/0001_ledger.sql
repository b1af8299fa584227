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

-- The log. An event has a stream and a contiguous version; a command that was sent has no version.
-- A row without a topic is private to this service.
create table messages (
    id        bigint generated always as identity primary key,
    stream    text not null,
    version   integer check (version > 0),
    type      text not null,
    topic     text,
    partition smallint,
    key       text not null,
    at        timestamptz not null,
    meta      bytea not null,
    data      bytea not null
);
create unique index messages_stream on messages (stream, version) where version is not null;

-- Ids of messages that wait for a position. Filled with the message, emptied by the sequencer.
create table outbox (id bigint primary key);

-- The order in which messages are published: dense positions, given once, durable before anyone sees them.
-- `previous` is the position before this one on the same topic and partition.
create table feed (
    position   bigint primary key,
    message_id bigint not null,
    previous   bigint not null
);

-- The sequencer's lock and cursor: one row. `published` may lag behind what the broker has.
create table head (
    one       boolean primary key default true check (one),
    position  bigint not null,
    published bigint not null
);
insert into head values (true, 0, 0);

-- The last position given on each topic and partition.
create table chain (
    topic     text,
    partition smallint,
    position  bigint not null,
    primary key (topic, partition)
);

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
create index parked_key on parked (topic, key, id);

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

-- For people with a SQL prompt: the log with its bytes as text.
create view log as
select id, stream, version, type, topic, partition, key, at,
       convert_from(meta, 'UTF8')::jsonb as meta, convert_from(data, 'UTF8')::jsonb as data
from messages;
