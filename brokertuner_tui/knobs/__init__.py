"""What each knob is, means and needs. The ground: imports nothing of the project but its errors."""
