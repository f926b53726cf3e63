"""Training many replicas of networks at once."""
