select position, previous, topic, partition, key, type, stream, version, at, meta, data
from messages where position > %(after)b and topic is not null
order by position limit %(limit)b
