"""What the core asks of the outside world: protocols whose docstrings are the contract."""
