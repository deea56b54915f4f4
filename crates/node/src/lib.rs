//! Quorate node.
