-- Take effects that are due and that nobody works on. SKIP LOCKED is right here: effects have no order among each other.
with due as (
    select id from effects
    where not parked and next_at <= %(at)b and leased_until <= %(at)b
    order by next_at limit %(limit)b for update skip locked
)
update effects e set leased_until = %(leased_until)b from due where e.id = due.id
returning e.id, e.subject, e.type, e.request, e.meta, e.attempts
