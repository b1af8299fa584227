-- Keep effects that are still being performed. In id order, as a batch locks those that it answers: otherwise the two would
-- wait for each other in a circle.
with mine as (select id from effects where id = any(%(ids)b::text[]) order by id for update)
update effects e set leased_until = %(until)b from mine where e.id = mine.id
