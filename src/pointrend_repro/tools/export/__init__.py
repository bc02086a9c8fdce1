"""Trained models as graphs that run without this package: ONNX, TorchScript, torch.export."""
