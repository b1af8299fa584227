select distinct topic, key from parked
where (topic, key) in (select * from unnest(%(topic)b::text[], %(key)b::bytea[]))
