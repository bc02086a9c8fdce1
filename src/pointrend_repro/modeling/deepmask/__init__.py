"""DeepMask and SharpMask: networks that segment and score the object in the middle of a patch."""
