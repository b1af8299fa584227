insert into orders (id, version, document, status, channel, number, placed_at)
select * from unnest(%(id)b::text[], %(version)b::int4[], %(document)b::bytea[], %(status)b::text[], %(channel)b::text[],
                     %(number)b::text[], %(placed_at)b::timestamptz[])
