select parked_id as id, topic, encode(key, 'escape') as key, partition, "offset", error, parked_at, discarded_at, actor, reason
from discarded order by discarded.id desc limit %(limit)b
