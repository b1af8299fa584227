-- Lock the streams of a batch in id order, so that two batches never wait for each other in a circle.
select id, version, schema, state from streams where id = any(%(ids)b::text[]) order by id for update
