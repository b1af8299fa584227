"""Orders: placing, the saga, payment, cancellation, completion."""
