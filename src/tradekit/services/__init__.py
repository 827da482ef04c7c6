"""What one request does: one public function = one use case = one commit. Pure: no await, no clock, no I/O."""
