"""How data moves: functions of a mesh and flat arrays, after the header has been opened."""
