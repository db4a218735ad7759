"""The attention-fusion network: columns by name, net, loop, checkpoints, the way to ONNX (docs/network.md)."""
