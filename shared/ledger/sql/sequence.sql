-- Give the next dense positions to waiting messages, in id order, and chain each to the one before it on its topic and
-- partition. Returns what is to be published, in order. Caller holds the head row.
with taken as (
    delete from outbox where id in (select id from outbox order by id limit %(limit)b) returning id
), numbered as (
    select m.id, m.stream, m.version, m.type, m.topic, m.partition, m.key, m.at, m.meta, m.data,
           (select position from head) + row_number() over (order by m.id) as position
    from taken join messages m using (id)
), chained as (
    select n.*, coalesce(
        lag(n.position) over (partition by n.topic, n.partition order by n.position), c.position, 0) as previous
    from numbered n left join chain c using (topic, partition)
), fed as (
    insert into feed (position, message_id, previous) select position, id, previous from chained
), advanced as (
    insert into chain (topic, partition, position)
    select topic, partition, max(position) from chained group by topic, partition
    on conflict (topic, partition) do update set position = excluded.position
), moved as (
    update head set position = (select max(position) from chained) where exists (select 1 from chained)
)
select position, previous, topic, partition, key, type, stream, version, at, meta, data from chained order by position
