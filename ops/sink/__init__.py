"""A real mail server and webhook receiver for the demo and the tests: it keeps what it gets, and
counts what it got more than once."""
