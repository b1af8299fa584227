"""A history of real orders, lived through again: the importer's records become commands on the topics."""
