//! The cluster's own certificate authority, certificates of nodes, join tokens.

pub mod authority;
pub mod certificate;
pub mod token;

use ring::rand::{SecureRandom, SystemRandom};

/// Random bytes for secrets and numbers.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the kernel gives random numbers");
    bytes
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
