//! Text that many share.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A text that is never changed, only shared: the status names the same resources, operations and digests
/// on every node. Reads as a `str`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// As a slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both are one and the same in memory; if not, they may still be equal.
    #[must_use]
    pub fn is_same(&self, other: &Text) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Text {
    fn default() -> Self {
        Text(Arc::from(""))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(Arc::from(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text(Arc::from(text))
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Text(Arc::from(text.as_str()))
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        &*self.0 == other.as_str()
    }
}

impl PartialEq<Text> for str {
    fn eq(&self, other: &Text) -> bool {
        self == &*other.0
    }
}

impl PartialEq<Text> for &str {
    fn eq(&self, other: &Text) -> bool {
        *self == &*other.0
    }
}

impl PartialEq<Text> for String {
    fn eq(&self, other: &Text) -> bool {
        self.as_str() == &*other.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Most slots of an interner; beyond, texts are no longer shared, only kept.
const SLOTS_MAX: usize = 1 << 22;
/// Slots at first.
const SLOTS_MIN: usize = 1 << 8;

/// Makes one [`Text`] of each text that it is shown, however often.
#[derive(Debug)]
pub struct Interner {
    slots: Vec<Option<Text>>,
    used: usize,
}

impl Default for Interner {
    fn default() -> Self {
        Interner {
            slots: vec![None; SLOTS_MIN],
            used: 0,
        }
    }
}

impl Interner {
    /// The one text of these letters.
    pub fn text(&mut self, text: &str) -> Text {
        if self.used * 2 >= self.slots.len() {
            if self.slots.len() >= SLOTS_MAX {
                return Text::from(text);
            }
            self.grow();
        }
        let at = self.slot(text);
        match &self.slots[at] {
            Some(known) => known.clone(),
            None => {
                let new = Text::from(text);
                self.slots[at] = Some(new.clone());
                self.used += 1;
                new
            }
        }
    }

    /// Where the text is, or the free place where it belongs.
    fn slot(&self, text: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = usize::try_from(hash(text.as_bytes()) >> 20).unwrap_or(0) & mask;
        while let Some(known) = &self.slots[at] {
            if *known == *text {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let wider = vec![None; self.slots.len() * 4];
        let known = std::mem::replace(&mut self.slots, wider);
        for text in known.into_iter().flatten() {
            let at = self.slot(&text);
            self.slots[at] = Some(text);
        }
    }
}

/// A fixed hash, eight bytes at a time: the same in every run. Whoever writes texts that collide slows down
/// the reading of his own file.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = bytes.len() as u64;
    let mut step = |word: u64| {
        sum = (sum.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    };
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        step(u64::from_le_bytes(eight));
    }
    let mut last = [0; 8];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    step(u64::from_le_bytes(last));
    sum ^ (sum >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one() {
        let mut interner = Interner::default();
        let first = interner.text("db_monitor_0");
        for n in 0..5_000 {
            let text = format!("db_monitor_{n}");
            assert_eq!(interner.text(&text), text);
        }
        assert!(interner.text("db_monitor_0").is_same(&first));
        assert!(!Text::from("db_monitor_0").is_same(&first));
        assert_eq!(first, "db_monitor_0");
    }
}
