select version, type, at, meta, data from messages where stream = %(stream)b and version > %(after)b order by version
