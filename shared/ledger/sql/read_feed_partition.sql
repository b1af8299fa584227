-- The feed of one topic and partition after a position: what a consumer heals a gap from.
select f.position, f.previous, m.topic, m.partition, m.key, m.type, m.stream, m.version, m.at, m.meta, m.data
from feed f join messages m on m.id = f.message_id
where f.position > %(after)b and f.position <= %(upto)b and m.topic = %(topic)b and m.partition = %(partition)b
order by f.position limit %(limit)b
