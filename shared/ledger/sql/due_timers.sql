select subject, name, due_at, type, message, meta from timers where due_at <= %(at)b order by due_at limit %(limit)b
