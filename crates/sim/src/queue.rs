//! What will happen: ordered by time, then by when it was planned.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::time::Time;

/// A queue of planned happenings.
#[derive(Debug)]
pub struct Queue<T> {
    order: BinaryHeap<Reverse<(Time, u64)>>,
    items: BTreeMap<u64, T>,
    next: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            order: BinaryHeap::new(),
            items: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Plans something.
    pub fn push(&mut self, at: Time, item: T) {
        self.order.push(Reverse((at, self.next)));
        self.items.insert(self.next, item);
        self.next += 1;
    }

    /// The next happening.
    pub fn pop(&mut self) -> Option<(Time, T)> {
        let Reverse((at, number)) = self.order.pop()?;
        let item = self.items.remove(&number)?;
        Some((at, item))
    }

    /// How much is planned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Nothing is planned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_first_then_the_order_of_planning() {
        let mut queue = Queue::default();
        queue.push(5, 'b');
        queue.push(1, 'a');
        queue.push(5, 'c');
        let all: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(all, [(1, 'a'), (5, 'b'), (5, 'c')]);
    }
}
