"""The fulfillment decider: pure functions over one frozen state."""
