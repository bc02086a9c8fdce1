"""PointRend: Image Segmentation as Rendering, reproduced from raw data to finished tables."""
