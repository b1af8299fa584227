"""Documents of what the services promise each other and the world, generated from the code: ``python -m ops.contracts``."""
