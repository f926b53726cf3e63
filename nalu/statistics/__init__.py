"""Numbers over replicas."""
