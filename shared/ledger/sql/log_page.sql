-- The whole log in order of stream and version, a page at a time: a range of the index, however long the log is.
select stream, version, type, data from messages
where version is not null and (stream, version) > (%(stream)b::text, %(version)b::int4)
order by stream, version limit %(limit)b
