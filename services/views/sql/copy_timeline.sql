copy timeline (order_id, at, type, partition, "offset", position, meta, data) from stdin (format binary)
