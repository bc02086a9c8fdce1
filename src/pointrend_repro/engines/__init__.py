"""Other projects that train and predict in our stead; results come back in our formats."""
