"""What the order service decides, purely."""
