"""Finds the objects in many pictures, and shows them on a page that opens from disk."""
