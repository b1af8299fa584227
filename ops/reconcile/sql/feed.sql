select f.position, f.previous, f.message_id, m.topic, m.partition, m.stream, m.version
from feed f left join messages m on m.id = f.message_id
order by f.position
