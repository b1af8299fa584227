insert into terms (term, order_id, kind)
select * from unnest(%(term)b::text[], %(order_id)b::text[], %(kind)b::text[])
on conflict do nothing
