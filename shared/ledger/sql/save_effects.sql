insert into effects (id, subject, type, request, meta, next_at, leased_until)
select *, %(at)b, %(leased_until)b
from unnest(%(id)b::text[], %(subject)b::text[], %(type)b::text[], %(request)b::bytea[], %(meta)b::bytea[])
on conflict (id) do nothing
