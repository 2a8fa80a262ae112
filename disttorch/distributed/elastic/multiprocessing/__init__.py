"""What scripts import from here are `errors`."""
