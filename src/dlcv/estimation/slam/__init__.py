"""A place that is remembered: keyframes, landmarks, loops between them, and one consistent map."""
