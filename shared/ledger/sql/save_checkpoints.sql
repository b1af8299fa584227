insert into checkpoints (topic, partition, next_offset, sequence)
select * from unnest(%(topic)b::text[], %(partition)b::int2[], %(next_offset)b::int8[], %(sequence)b::int8[])
on conflict (topic, partition) do update set next_offset = excluded.next_offset, sequence = excluded.sequence
