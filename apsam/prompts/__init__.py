"""Prompts: boxes and points for SAM from the contours of heat maps (equations 2 to 9), and their files."""
