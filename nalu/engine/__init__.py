"""From one network's training step to C."""
