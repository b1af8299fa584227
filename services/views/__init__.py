"""The views service: read models of orders, availability and customers, folded from the topics
alone."""
