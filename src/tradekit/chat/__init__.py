"""A conversation without a transport: a typed line or a pressed button in, replies out."""
