"""The services. None imports another; they speak through events."""
