-- Fence: a consumer that lost its partition to another finds a watermark that it did not write.
select c.topic, c.partition, c.next_offset, c.sequence
from checkpoints c join unnest(%(topic)b::text[], %(partition)b::int2[]) as w (topic, partition) using (topic, partition)
order by c.topic, c.partition for update of c
