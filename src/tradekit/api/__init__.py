"""The library's interface by subject: each part is an attribute of :class:`tradekit.Tradekit`."""
