//! Quorate lab.
