"""The running system under hostile input: Schemathesis over every API, a corpus over HTTP and every topic, and a storm of
repeated requests."""
