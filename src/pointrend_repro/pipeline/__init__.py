"""The steps behind the rules, their resources, and what a preset will take."""
