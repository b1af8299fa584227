-- The log in the order of keys, so that the logs of all services can be walked side by side; inside a key by stream and
-- version. All endpoints share one stream, whatever their keys. A stream's snapshot comes with its last event.
select m.position, g.name, m.key, m.stream, m.version, m.type, m.topic, m.partition, m.at, m.meta, m.data,
       s.schema, s.state, s.guard
from messages m
     cross join lateral (
         select case when m.stream = 'endpoints-all' then m.stream else m.key end collate "C") as g (name)
     left join streams s on s.id = m.stream and s.version = m.version
order by g.name, m.stream collate "C", m.version nulls last, m.position
