"""Semantic segmentation: DeepLabV3 and SemanticFPN, each with and without PointRend (section 5)."""
