"""The steps behind the rules, what they ask for, and what a preset will take."""
