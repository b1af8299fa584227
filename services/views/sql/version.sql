-- The tables of one version; search_path names its schema.

-- One row an order. `document` is the fold of the order's events (msgpack); the other columns are what lists filter by.
-- Documents stay in their row: moving them out of line would cost a second lookup and write each time.
create table orders (
    id        text primary key,
    version   integer not null,
    document  bytea not null,
    status    text not null,
    channel   text not null,
    number    text not null,
    placed_at timestamptz
) with (fillfactor = 60, toast_tuple_target = 8160);
alter table orders alter column document set storage main;

create index orders_newest on orders (placed_at desc, id desc);
create index orders_status on orders (status, placed_at desc, id desc);
create index orders_channel on orders (channel, placed_at desc, id desc);

-- What an order can be found by, in lower case: its number, customer, SKUs, tracking numbers.
create table terms (
    term     text collate "C",
    order_id text,
    kind     text not null,
    primary key (term, order_id)
);

-- Every record about an order, as it came: insert only. `meta` and `data` are JSON.
create table timeline (
    order_id  text not null,
    at        timestamptz not null,
    type      text not null,
    partition smallint not null,
    "offset"  bigint not null,
    position  bigint not null,
    meta      bytea not null,
    data      bytea not null
);
create index timeline_order on timeline (order_id);

-- Units of a SKU at a location.
create table availability (
    sku       text,
    location  text,
    on_hand   bigint not null,
    reserved  bigint not null,
    allocated bigint not null,
    primary key (sku, location)
) with (fillfactor = 60);

-- Each version has listened up to its own marks, and put aside what it could not apply.
create table checkpoints (like public.checkpoints including all);
create table parked (like public.parked including all);

-- For people with a SQL prompt.
create view timeline_text as
select order_id, at, type, partition, "offset", position,
       convert_from(meta, 'UTF8')::jsonb as meta, convert_from(data, 'UTF8')::jsonb as data
from timeline;
