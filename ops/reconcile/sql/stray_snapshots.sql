select s.id, s.version from streams s
where not exists (select 1 from messages m where m.stream = s.id and m.version = s.version)
