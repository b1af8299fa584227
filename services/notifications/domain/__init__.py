"""What the notifications service decides, without any I/O."""
