"""The Telegram runner: updates in, replies out."""
