"""What the loopback servers have in common: HTTP and websockets, cheap enough not to distort what is measured beside them."""
