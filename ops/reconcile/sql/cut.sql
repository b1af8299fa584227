-- Where a service stands: the time, the feed's head, and how many messages wait for a position.
select clock_timestamp(), h.position, h.published, (select count(*) from outbox) from head h
