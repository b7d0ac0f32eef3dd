"""Network architectures; they know tensors, never files."""
