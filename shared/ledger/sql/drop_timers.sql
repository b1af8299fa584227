delete from timers
where (subject, name) in (select * from unnest(%(subject)b::text[], %(name)b::text[]))
