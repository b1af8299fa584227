"""What the services share: the published language, the ledger, streams, process plumbing and payments."""
