select id, topic, key, partition, "offset", coalesce(sequence, -1), headers, value, error
from parked where topic = %(topic)b and key = %(key)b order by id limit %(limit)b
