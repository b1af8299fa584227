insert into parked (topic, key, partition, "offset", sequence, headers, value, error, parked_at)
select topic, key, partition, "offset", nullif(sequence, -1), headers, value, error, %(at)b
from unnest(%(topic)b::text[], %(key)b::bytea[], %(partition)b::int2[], %(offset)b::int8[], %(sequence)b::int8[],
            %(headers)b::bytea[], %(value)b::bytea[], %(error)b::text[])
     as p (topic, key, partition, "offset", sequence, headers, value, error)
