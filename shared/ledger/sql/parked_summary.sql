-- One row a parked key: the first record's error is why the others wait.
select topic, encode(key, 'escape') as key, count(*) as records, min(parked_at) as since,
       (array_agg(error order by id))[1] as error
from parked group by topic, key order by min(id) limit %(limit)b
