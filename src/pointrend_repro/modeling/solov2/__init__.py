"""SOLOv2 (2003.10152): a grid's cell predicts the mask of the object around it."""
