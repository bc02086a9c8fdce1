"""What everything else may use: errors, files, records. It imports nothing else of the package."""
