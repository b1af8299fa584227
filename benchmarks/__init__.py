"""What the system does per second, beside the floor that the same machine sets in the same run; see ``__main__``."""
