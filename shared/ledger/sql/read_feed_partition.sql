-- The feed of one topic and partition after a position: what a consumer heals a gap from.
select position, previous, topic, partition, key, type, stream, version, at, meta, data
from messages
where position > %(after)b and position <= %(upto)b and topic = %(topic)b and partition = %(partition)b
order by position limit %(limit)b
