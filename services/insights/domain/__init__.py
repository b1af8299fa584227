"""Pure arithmetic: windows, what an event adds to them, silence and stock cover."""
