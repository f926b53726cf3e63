"""What several tests share. It is imported as `helpers`, from any folder of tests/ and from machines.py."""
