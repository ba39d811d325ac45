"""What a download does: plan, attempt, verify, publish; one of them, or a list without end."""
