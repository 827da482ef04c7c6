"""Texts by language. ``tradekit.chat.render`` says what a template may hold."""
