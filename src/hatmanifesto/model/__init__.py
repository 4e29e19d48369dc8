"""Values and rules every room shares; may touch nothing but the standard library's types and librt."""
