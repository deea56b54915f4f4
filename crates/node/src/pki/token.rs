//! Join tokens: what an administrator carries from one node to the next.
//!
//! A token works once, until it expires, at the node that made it. That node keeps the hash of the secret, so
//! that reading its disk gives nobody a token.

use std::path::{Path, PathBuf};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};

/// First characters of every token of this version.
const PREFIX: &str = "quorate1-";
/// Longest token accepted.
const TEXT_MAX: usize = 1024;
/// Most open tokens of a node.
const OPEN_MAX: usize = 64;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Token {
    /// Addresses of the node that made it, one a link.
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

/// What the node that made a token keeps of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenToken {
    /// Unix seconds.
    pub expires_s: i64,
    /// Only a node of this name may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The node takes the place of one that has the same name and is gone for ever.
    #[serde(default)]
    pub replace: bool,
    /// The node becomes a witness and does not get the authority's key.
    #[serde(default)]
    pub witness: bool,
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
    /// Never made here, or used.
    #[error(
        "this token is not known here: it was used already, withdrawn, or made by another node; make a new one with \
         `quorate token create`"
    )]
    Unknown,
    /// For another.
    #[error("this token is for the node `{0}` only; join under that name, or make another token")]
    OtherName(String),
    /// Enough of them.
    #[error("{OPEN_MAX} tokens are open; withdraw some with `quorate token clear`")]
    TooMany,
    /// Files.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Token {
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

/// The open tokens of this node: one small file each, named by the hash of the secret.
#[derive(Debug, Clone)]
pub struct TokenBook {
    directory: PathBuf,
}

impl TokenBook {
    /// In that directory.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Writes a new one down and gives its secret.
    pub fn create(&self, open: &OpenToken, now_s: i64) -> Result<[u8; 16], TokenError> {
        files::make_private_dir(&self.directory)?;
        if self.sweep(now_s)? >= OPEN_MAX {
            return Err(TokenError::TooMany);
        }
        let secret = super::random::<16>();
        let text = toml::to_string(open).expect("numbers and strings have a TOML form");
        files::write(&self.file(&secret), text.as_bytes(), 0o600)?;
        Ok(secret)
    }

    /// Whether a node of that name may enter with that secret.
    pub fn check(&self, secret: &[u8], name: &str, now_s: i64) -> Result<OpenToken, TokenError> {
        let text = files::read(&self.file(secret))?.ok_or(TokenError::Unknown)?;
        let open: OpenToken = toml::from_str(&text).map_err(|_| TokenError::Unknown)?;
        if open.expires_s < now_s {
            return Err(TokenError::Expired(now_s - open.expires_s));
        }
        match &open.name {
            Some(wanted) if wanted != name => Err(TokenError::OtherName(wanted.clone())),
            _ => Ok(open),
        }
    }

    /// Uses it up. Of two that try at once, one succeeds.
    pub fn spend(&self, secret: &[u8]) -> Result<(), TokenError> {
        std::fs::remove_file(self.file(secret)).map_err(|_| TokenError::Unknown)
    }

    /// Withdraws all; gives their number.
    pub fn clear(&self) -> Result<usize, TokenError> {
        self.each(|_| true)
    }

    /// Removes expired ones; gives how many are left.
    fn sweep(&self, now_s: i64) -> Result<usize, TokenError> {
        let mut left = 0;
        self.each(|open| {
            let gone = open.is_none_or(|o| o.expires_s < now_s);
            left += usize::from(!gone);
            gone
        })?;
        Ok(left)
    }

    fn each(&self, mut remove: impl FnMut(Option<OpenToken>) -> bool) -> Result<usize, TokenError> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(FileError::new("cannot read", &self.directory, e).into()),
        };
        let mut removed = 0;
        for entry in entries.flatten() {
            let text = files::read(&entry.path())?.unwrap_or_default();
            if remove(toml::from_str(&text).ok()) && std::fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn file(&self, secret: &[u8]) -> PathBuf {
        self.directory.join(HEXLOWER.encode(&super::sha256(secret)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn open() -> OpenToken {
        OpenToken {
            expires_s: 1000,
            name: None,
            replace: false,
            witness: false,
        }
    }

    #[test]
    fn a_token_works_once() {
        let dir = tempfile::tempdir().unwrap();
        let book = TokenBook::new(&dir.path().join("tokens"));
        let secret = book.create(&open(), 0).unwrap();
        assert_eq!(book.check(&secret, "n2", 10).unwrap(), open());
        book.spend(&secret).unwrap();
        assert!(matches!(
            book.check(&secret, "n2", 10),
            Err(TokenError::Unknown)
        ));
        assert!(matches!(book.spend(&secret), Err(TokenError::Unknown)));
    }

    #[test]
    fn an_expired_token_says_so_and_a_foreign_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let book = TokenBook::new(dir.path());
        let secret = book.create(&open(), 0).unwrap();
        assert!(matches!(
            book.check(&secret, "n2", 1005),
            Err(TokenError::Expired(5))
        ));
        assert!(matches!(
            book.check(&[7; 16], "n2", 10),
            Err(TokenError::Unknown)
        ));
        let named = OpenToken {
            name: Some("n3".into()),
            ..open()
        };
        let secret = book.create(&named, 0).unwrap();
        assert!(matches!(
            book.check(&secret, "n2", 10),
            Err(TokenError::OtherName(_))
        ));
    }

    #[test]
    fn open_tokens_are_bounded_and_expired_ones_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let book = TokenBook::new(dir.path());
        for _ in 0..OPEN_MAX {
            book.create(&open(), 0).unwrap();
        }
        assert!(matches!(book.create(&open(), 0), Err(TokenError::TooMany)));
        book.create(
            &OpenToken {
                expires_s: 5000,
                ..open()
            },
            2000,
        )
        .unwrap();
        assert_eq!(book.clear().unwrap(), 1);
    }

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
