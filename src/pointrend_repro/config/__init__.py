"""What the files of `config/` hold, and the one reader of them."""
