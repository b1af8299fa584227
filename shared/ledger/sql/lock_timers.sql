-- A timer that was cancelled or moved since it was read is not here any more, and does not fire.
select t.subject, t.name, t.due_at
from timers t join unnest(%(subject)b::text[], %(name)b::text[], %(due_at)b::timestamptz[]) as f (subject, name, due_at)
     using (subject, name, due_at)
order by t.subject, t.name for update of t
