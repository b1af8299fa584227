-- Move one parked record to those that were given up. No row: it was applied, or discarded before.
with gone as (delete from parked where id = %(id)b returning *)
insert into discarded (parked_id, topic, key, partition, "offset", sequence, headers, value, error, parked_at, actor, reason)
select id, topic, key, partition, "offset", sequence, headers, value, error, parked_at, %(actor)b, %(reason)b from gone
returning parked_id
