-- Only rows that are still as they were read: another process may hold a partition with events of the same order.
update orders o
set version = w.version, document = w.document, status = w.status, channel = w.channel, number = w.number,
    placed_at = w.placed_at
from unnest(%(id)b::text[], %(was)b::int4[], %(version)b::int4[], %(document)b::bytea[], %(status)b::text[],
            %(channel)b::text[], %(number)b::text[], %(placed_at)b::timestamptz[])
     as w (id, was, version, document, status, channel, number, placed_at)
where o.id = w.id and o.version = w.was
