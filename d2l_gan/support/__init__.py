"""What everything else stands on: clear errors, whole files, threads."""
