"""Other projects that train and predict in place of our code; results come back in our formats."""
