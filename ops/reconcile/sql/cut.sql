-- Where a service stands: the time, the head of its log, and up to where it was published.
select clock_timestamp(), h.position, r.published from head h, relay r
