insert into streams (id, version, schema, state, guard)
select * from unnest(%(id)b::text[], %(version)b::int4[], %(schema)b::int2[], %(state)b::bytea[], %(guard)b::int8[])
on conflict (id) do update
set version = excluded.version, schema = excluded.schema, state = excluded.state, guard = excluded.guard
