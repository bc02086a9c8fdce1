"""What everything else may use: errors, files, records. It imports nothing of the package."""
