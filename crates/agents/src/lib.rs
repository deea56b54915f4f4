//! Quorate agents.
