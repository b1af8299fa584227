-- A public message is in the feed or waits in the outbox, and never both; the outbox holds nothing else.
select m.id, m.stream, coalesce(m.version, 0), 'it is neither in the feed nor in the outbox: nobody is told'
from messages m left join feed f on f.message_id = m.id left join outbox o on o.id = m.id
where m.topic is not null and f.message_id is null and o.id is null
union all
select o.id, coalesce(m.stream, 'outbox'), coalesce(m.version, 0),
       case when m.id is null then 'the outbox holds message ' || o.id || ', which does not exist'
            when m.topic is null then 'a private message waits in the outbox'
            else 'it has a feed position and waits for another one' end
from outbox o left join messages m on m.id = o.id left join feed f on f.message_id = o.id
where m.id is null or m.topic is null or f.message_id is not null
union all
select m.id, m.stream, coalesce(m.version, 0), 'it has ' || count(*) || ' feed positions'
from feed f join messages m on m.id = f.message_id
group by m.id, m.stream, m.version having count(*) > 1
