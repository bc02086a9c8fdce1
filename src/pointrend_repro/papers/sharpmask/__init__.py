"""Code that only SharpMask needs."""
