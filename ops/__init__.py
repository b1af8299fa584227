"""Operating the system: the `oms` command line, the local stack, demo, import, reconcile."""
