//! Join tokens: what an administrator carries from one node to the next.
//!
//! A token works once, until it expires, at any server of the cluster. The replicated log holds the hash of its
//! secret, so that reading a node's disk gives nobody a token.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use minicbor::{Decode, Encode};

/// First characters of every token of this version.
const PREFIX: &str = "quorate1-";
/// Longest token accepted.
const TEXT_MAX: usize = 1024;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Token {
    /// Addresses of servers, to be tried in turn.
    #[n(0)]
    pub addresses: Vec<String>,
    /// SHA-256 of the authority's certificate.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub authority: [u8; 32],
    /// Unix seconds.
    #[n(2)]
    pub expires_s: i64,
    /// What proves it.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub secret: [u8; 16],
}

/// Why a token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not a token.
    #[error("this is no join token: {0}; copy the whole line that `quorate token create` printed")]
    Malformed(&'static str),
    /// Too late.
    #[error(
        "this token expired {0} s ago; make a new one with `quorate token create` on a node of the cluster"
    )]
    Expired(i64),
}

impl Token {
    /// What the log knows of it.
    #[must_use]
    pub fn hash(&self) -> String {
        hash(&self.secret)
    }

    /// Refuses it after its end (the cluster checks again, by its own clock).
    pub fn check(&self, now_s: i64) -> Result<(), TokenError> {
        match now_s - self.expires_s {
            late if late > 0 => Err(TokenError::Expired(late)),
            _ => Ok(()),
        }
    }

    /// As text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let bytes = minicbor::to_vec(self).expect("writing to memory cannot fail");
        let mut sealed = bytes.clone();
        sealed.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&sealed))
    }

    /// From text.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > TEXT_MAX {
            return Err(TokenError::Malformed("it is too long"));
        }
        let body = text
            .strip_prefix(PREFIX)
            .ok_or(TokenError::Malformed("it does not begin with `quorate1-`"))?;
        let sealed = BASE64URL_NOPAD
            .decode(body.as_bytes())
            .map_err(|_| TokenError::Malformed("a character is wrong or missing"))?;
        let (bytes, crc) = sealed
            .split_last_chunk::<4>()
            .ok_or(TokenError::Malformed("it is too short"))?;
        if crc32fast::hash(bytes) != u32::from_be_bytes(*crc) {
            return Err(TokenError::Malformed("a character is wrong or missing"));
        }
        minicbor::decode(bytes).map_err(|_| TokenError::Malformed("a part is missing"))
    }
}

/// SHA-256 of a secret, hex.
#[must_use]
pub fn hash(secret: &[u8]) -> String {
    HEXLOWER.encode(&super::sha256(secret))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_refused_or_read(text in ".{0,300}") {
            let _ = Token::parse(&text);
        }

        #[test]
        fn what_is_written_is_read(secret: [u8; 16], authority: [u8; 32], expires_s: i64) {
            let token = Token { addresses: vec!["10.0.0.1:5407".into()], authority, expires_s, secret };
            prop_assert_eq!(Token::parse(&token.to_text()).unwrap(), token);
        }

        #[test]
        fn a_mistyped_token_is_noticed(at in 0usize..100, secret: [u8; 16]) {
            let token = Token { addresses: vec!["10.0.0.1:5407".into()], authority: [3; 32], expires_s: 9, secret };
            let mut text = token.to_text().into_bytes();
            let at = at % text.len();
            text[at] = if text[at] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(text).unwrap();
            prop_assert!(Token::parse(&text).is_err());
        }
    }
}
