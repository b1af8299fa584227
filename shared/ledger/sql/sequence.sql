-- Give the next dense positions to waiting messages, in id order, and chain each to the one before it on its topic and
-- partition. Returns what is to be published, in order. Caller holds the head row.
-- Messages themselves are joined last: what is sorted, numbered and kept in between stays narrow.
with taken as (
    delete from outbox where id in (select id from outbox order by id limit %(limit)b) returning id
), numbered as (
    select id, topic, partition,
           (select position from head) + row_number() over (order by id) as position
    from taken join messages using (id)
), chained as (
    select n.id, n.topic, n.partition, n.position, coalesce(
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
select c.position, c.previous, c.topic, c.partition, m.key, m.type, m.stream, m.version, m.at, m.meta, m.data
from chained c join messages m using (id) order by c.position
