"""Records in and out of the broker: the consumer runtime, the relay, and the brokers behind one port."""
