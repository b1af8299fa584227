"""The anti-corruption layer: what partners say in their words, in ours; and ours in theirs."""
