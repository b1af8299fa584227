select position, previous, topic, partition, stream, version from messages order by position
