-- A partition seen for the first time gets a row, so that there is something for its fence to lock.
insert into checkpoints (topic, partition, next_offset, sequence)
select topic, partition, 0, 0 from unnest(%(topic)b::text[], %(partition)b::int2[]) as w (topic, partition)
on conflict do nothing
