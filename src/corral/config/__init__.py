"""What may be set, by whom, and what it means."""
