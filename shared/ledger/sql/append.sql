-- Append the batch to the log; what has a topic also gets an outbox row. Rows keep the order of the arrays, so ids do.
with appended as (
    insert into messages (stream, version, type, topic, partition, key, at, meta, data)
    select stream, nullif(version, 0), type, nullif(topic, ''), nullif(partition, -1), key, %(at)b, meta, data
    from unnest(
        %(stream)b::text[], %(version)b::int4[], %(type)b::text[], %(topic)b::text[], %(partition)b::int2[],
        %(key)b::text[], %(meta)b::bytea[], %(data)b::bytea[]
    ) as m (stream, version, type, topic, partition, key, meta, data)
    returning id, topic
)
insert into outbox select id from appended where topic is not null
