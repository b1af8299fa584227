insert into timers (subject, name, due_at, type, message, meta)
select * from unnest(%(subject)b::text[], %(name)b::text[], %(due_at)b::timestamptz[], %(type)b::text[],
                     %(message)b::bytea[], %(meta)b::bytea[])
on conflict (subject, name) do update
set due_at = excluded.due_at, type = excluded.type, message = excluded.message, meta = excluded.meta
