"""Pure projections: how each event changes an order's document, and how the document is shown."""
