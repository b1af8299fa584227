-- Append the batch to the log, at the positions that `take_positions` has just taken. `rank` counts the rows from 1;
-- `prior` is the rank of the row before it on the same topic and partition, 0 when that is in an earlier batch.
with base as (
    select position - %(count)b as position from head
), ends as (
    select * from unnest(%(chain_topic)b::text[], %(chain_partition)b::int2[], %(chain_rank)b::int4[])
        as e (topic, partition, rank)
), advanced as (
    insert into chain (topic, partition, position)
    select e.topic, e.partition, b.position + e.rank from ends e, base b
    on conflict (topic, partition) do update set position = excluded.position
)
insert into messages (position, stream, version, type, topic, partition, previous, key, at, meta, data)
select b.position + m.rank, m.stream, nullif(m.version, 0), m.type, nullif(m.topic, ''), nullif(m.partition, -1),
       case when m.topic = '' then null when m.prior > 0 then b.position + m.prior else coalesce(c.position, 0) end,
       m.key, %(at)b, m.meta, m.data
from base b
     cross join unnest(
         %(rank)b::int4[], %(prior)b::int4[], %(stream)b::text[], %(version)b::int4[], %(type)b::text[],
         %(topic)b::text[], %(partition)b::int2[], %(key)b::text[], %(meta)b::bytea[], %(data)b::bytea[]
     ) as m (rank, prior, stream, version, type, topic, partition, key, meta, data)
     left join chain c on m.prior = 0 and c.topic = m.topic and c.partition = m.partition
returning position, previous
